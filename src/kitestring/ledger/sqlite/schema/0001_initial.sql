-- The ledger. Amounts are integers in msat, times Unix seconds given by the caller; no statement reads a clock.
-- Several services may share one file: every key begins with `service`, the small number of a service id.
-- Written for few and cheap writes per payment: rows are numbered in the order they come (payments and invoices from one
-- row of numbers, so that what was made in the same second stands in its order in one list), what belongs together is one
-- row, and a list of more than two texts is spelled with OR (SQLite builds a table in memory for IN, at every write).

-- `ledger_id` is drawn when the ledger is made, and anew when one that was restored goes on, at `since`: two histories
-- are never taken for one.
CREATE TABLE services (
  service INTEGER PRIMARY KEY,
  service_id TEXT NOT NULL UNIQUE,
  ledger_id TEXT NOT NULL,
  since INTEGER NOT NULL DEFAULT 0
) STRICT;

-- One row per service, so that no request ever sums anything. `audit` rebuilds every sum in it.
-- What was sent before pruned_before is refused; what peers sent before refused_before is, too.
-- node_balance_msat: the last view an owner's claim was granted on, plus what was open then, moved by what came and went.
-- last_message and last_event are the numbers given last: none is ever given twice, whatever is deleted.
CREATE TABLE totals (
  service INTEGER PRIMARY KEY,
  spent_msat INTEGER NOT NULL DEFAULT 0 CHECK (spent_msat >= 0),
  sub_accounts_msat INTEGER NOT NULL DEFAULT 0,
  owner_pending_msat INTEGER NOT NULL DEFAULT 0 CHECK (owner_pending_msat >= 0),
  pending_msat INTEGER NOT NULL DEFAULT 0 CHECK (pending_msat >= 0),
  node_balance_msat INTEGER,
  spending_stopped TEXT NOT NULL DEFAULT '',
  pruned_before INTEGER NOT NULL DEFAULT 0,
  refused_before INTEGER NOT NULL DEFAULT 0,
  last_message INTEGER NOT NULL DEFAULT 0,
  last_event INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Why nothing is spent, one row per cause; totals.spending_stopped is the sentence of the first.
CREATE TABLE stops (
  service INTEGER NOT NULL,
  cause TEXT NOT NULL,
  why TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (service, cause)
) STRICT, WITHOUT ROWID;

CREATE TABLE nodes (
  service INTEGER NOT NULL,
  node_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  backend TEXT NOT NULL,
  network TEXT NOT NULL,
  cursor BLOB NOT NULL,
  PRIMARY KEY (service, node_id)
) STRICT, WITHOUT ROWID;

-- Every account, also the three that are not a user's: the world outside, the routing fees, and the service's own fees,
-- which are the owner's income. The sums are kept.
CREATE TABLE accounts (
  service INTEGER NOT NULL,
  account_id TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'owner' OR kind = 'sub' OR kind = 'world' OR kind = 'fees'),
  credits_msat INTEGER NOT NULL DEFAULT 0 CHECK (credits_msat >= 0),
  posted_msat INTEGER NOT NULL DEFAULT 0 CHECK (posted_msat >= 0),
  pending_msat INTEGER NOT NULL DEFAULT 0 CHECK (pending_msat >= 0),
  overdrawn INTEGER NOT NULL DEFAULT 0 CHECK (overdrawn IN (0, 1)),
  created_at INTEGER NOT NULL,
  closed_at INTEGER, -- used no more since; its rows stay
  PRIMARY KEY (service, account_id),
  CHECK (closed_at IS NULL OR kind = 'sub'),
  CHECK (credits_msat - posted_msat - pending_msat >= 0 OR overdrawn OR kind <> 'sub')
) STRICT, WITHOUT ROWID;

-- The owner's sub-accounts are known by their names, those of enrolled keys by their keys.
CREATE UNIQUE INDEX accounts_by_name ON accounts (service, name)
WHERE kind = 'sub' AND (account_id < 'enrolled:' OR account_id >= 'enrolled;');
CREATE INDEX accounts_renamed ON accounts (service, account_id, name)
WHERE kind = 'sub' AND (account_id < 'enrolled:' OR account_id >= 'enrolled;') AND name <> account_id;
CREATE TRIGGER accounts_close_once BEFORE UPDATE OF closed_at ON accounts WHEN OLD.closed_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a closed account is never opened again'); END;

CREATE TABLE grants (
  service INTEGER NOT NULL,
  grant_id TEXT NOT NULL,
  name TEXT NOT NULL,
  wire TEXT NOT NULL,
  caller TEXT NOT NULL,
  service_pubkey TEXT NOT NULL,
  account_id TEXT NOT NULL,
  methods TEXT NOT NULL,
  budgets TEXT NOT NULL, -- a JSON list of [budget, limit in msat, period, length in s], then currency and minor units
  per_payment_msat INTEGER CHECK (per_payment_msat >= 0),
  fee_cap_msat INTEGER CHECK (fee_cap_msat >= 0),
  expires_at INTEGER,
  cipher TEXT NOT NULL,
  nip44_seen INTEGER NOT NULL CHECK (nip44_seen IN (0, 1)),
  link_salt BLOB NOT NULL,
  relays TEXT NOT NULL, -- those inside the link, a JSON list
  lud16 TEXT NOT NULL,
  asked_relays TEXT NOT NULL, -- where the app waits that asked for it, a JSON list
  asked_state TEXT NOT NULL,
  pointer_id TEXT NOT NULL,
  strangers TEXT NOT NULL CHECK (strangers = 'deny' OR strangers = 'ask' OR strangers = 'budget'),
  sessions TEXT NOT NULL CHECK (sessions = 'off' OR sessions = 'minted' OR sessions = 'any'),
  shown_balance TEXT NOT NULL CHECK (shown_balance = 'budget' OR shown_balance = 'full'),
  shown_history TEXT NOT NULL CHECK (shown_history = 'own' OR shown_history = 'account'),
  paused_at INTEGER,
  revoked_at INTEGER,
  created_at INTEGER NOT NULL,
  version INTEGER NOT NULL CHECK (version >= 1),
  PRIMARY KEY (service, grant_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX grants_by_caller ON grants (service, wire, caller, pointer_id);
CREATE INDEX grants_by_account ON grants (service, account_id) WHERE revoked_at IS NULL;
CREATE INDEX grants_by_name ON grants (service, wire, name) WHERE revoked_at IS NULL;
-- Who hears of every payment of an account: none of most accounts.
CREATE INDEX grants_by_history ON grants (service, account_id, created_at, grant_id)
WHERE revoked_at IS NULL AND shown_history = 'account';

-- When the app of a grant has last asked for something.
CREATE TABLE uses (
  service INTEGER NOT NULL,
  grant_id TEXT NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY (service, grant_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE offers (
  service INTEGER NOT NULL,
  offer_id TEXT NOT NULL,
  label TEXT NOT NULL,
  account_id TEXT NOT NULL,
  price_msat INTEGER CHECK (price_msat > 0),
  min_msat INTEGER CHECK (min_msat >= 0),
  max_msat INTEGER CHECK (max_msat >= 0),
  currency TEXT NOT NULL,
  price_minor INTEGER CHECK (price_minor > 0),
  price_on_request INTEGER NOT NULL CHECK (price_on_request = 0 OR price_on_request = 1),
  payer_data TEXT NOT NULL,
  relays TEXT NOT NULL, -- those inside the code, a JSON list
  state TEXT NOT NULL CHECK (state = 'open' OR state = 'off' OR state = 'moved' OR state = 'deleted'),
  latest TEXT NOT NULL,
  expires_at INTEGER,
  webhook TEXT NOT NULL, -- as JSON; "" for none
  webhook_since INTEGER NOT NULL, -- the last event before it had one; 0 where it has none
  -- The app that made it, and the pointer that it was made over; both "" for the owner's own. The offer that an enrolled
  -- key's account began with has the key, and no pointer.
  creator TEXT NOT NULL,
  pointer_id TEXT NOT NULL,
  zap_pubkey TEXT NOT NULL, -- "" where it takes no zaps
  created_at INTEGER NOT NULL,
  PRIMARY KEY (service, offer_id),
  CHECK ((currency = '') = (price_minor IS NULL)),
  CHECK (price_msat IS NULL OR currency = ''),
  CHECK (price_on_request = 0 OR price_msat IS NOT NULL)
) STRICT, WITHOUT ROWID;
-- What one app has made is listed and counted by it, and what it has deleted is counted.
CREATE INDEX offers_by_creator ON offers (service, pointer_id, creator, created_at)
WHERE creator <> '' AND state <> 'deleted';
CREATE INDEX offers_deleted ON offers (service, pointer_id, creator) WHERE creator <> '' AND state = 'deleted';
-- Those of one account, for the key that it belongs to.
CREATE INDEX offers_by_account ON offers (service, account_id, created_at) WHERE state <> 'deleted';

-- ------------------------------------------------------------ requests

-- `reply` is the message that finished it, `invoice` the invoice that it asked for. A finished one keeps nothing of what
-- it asked for (`command`), but for the owner's own. One with `until` was refused, or
-- answered, and never claimed: it keeps its id, and its reply if there was room for it, until that time. So does a bundle of which nothing
-- was claimed.
CREATE TABLE requests (
  request INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  wire TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  command BLOB NOT NULL,
  reply_to BLOB NOT NULL,
  sent_at INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  payment_id TEXT NOT NULL,
  invoice INTEGER,
  finished_at INTEGER,
  reply INTEGER,
  until INTEGER,
  UNIQUE (service, request_id),
  CHECK ((finished_at IS NULL) = (reply IS NULL) OR finished_at IS NOT NULL AND until IS NOT NULL),
  CHECK (until IS NULL OR finished_at IS NOT NULL AND (payment_id = '' OR payment_id = 'bundle') AND invoice IS NULL)
) STRICT;
-- Of what may be forgotten: the owner's keys are kept for ever, and no round of forgetting walks over them.
CREATE INDEX requests_by_time ON requests (service, received_at) WHERE until IS NULL AND wire <> 'control';
CREATE INDEX requests_unanswered ON requests (service, payment_id, received_at) WHERE finished_at IS NULL;
CREATE INDEX requests_refused ON requests (service, until) WHERE until IS NOT NULL;
CREATE INDEX requests_refused_by_grant ON requests (service, grant_id, sent_at) WHERE until IS NOT NULL;

-- The number of refusals that are kept of each grant, and the bytes of their replies: `answer_bytes` of those that refuse
-- nothing, but answer what needed no claim. Beyond a number the oldest are forgotten; what this grant has sent before
-- refused_before is refused since. Those of all enrolled keys are counted together once more, as '@enrolled'.
CREATE TABLE refusals (
  service INTEGER NOT NULL,
  grant_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  answer_bytes INTEGER NOT NULL,
  refused_before INTEGER NOT NULL,
  PRIMARY KEY (service, grant_id)
) STRICT, WITHOUT ROWID;

-- ------------------------------------------------------------ outbox and feed

-- What must be told to somebody. `message` is the service, shifted by 48 bits, plus the number in totals.last_message.
-- `kind` chooses the deliverer, `address` is its own affair, `request` is the request that it answers, if any.
-- A message beyond the consumer '@outbox' was not tried yet; one with `next_at` is tried again then; any other is done.
-- `is_no`: it refuses, and is told when somebody outside knows how far the ledger has come.
CREATE TABLE outbox (
  message INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  kind TEXT NOT NULL,
  request INTEGER,
  address BLOB NOT NULL,
  plaintext BLOB NOT NULL,
  event BLOB NOT NULL,
  signed_at INTEGER NOT NULL,
  is_no INTEGER NOT NULL CHECK (is_no = 0 OR is_no = 1),
  attempts INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER
) STRICT;
CREATE INDEX outbox_due ON outbox (service, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX outbox_beside_replies ON outbox (request) WHERE kind <> 'reply' AND request IS NOT NULL;
CREATE INDEX outbox_of_no_request ON outbox (service, message) WHERE request IS NULL;

-- What became true, numbered without a gap in the order of the commits.
CREATE TABLE events (
  service INTEGER NOT NULL,
  event INTEGER NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  account_id TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (service, event)
) STRICT, WITHOUT ROWID;
-- What doctor and audit show: few rows among millions.
CREATE INDEX events_alarms ON events (service, event) WHERE kind = 'alarm';
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

-- How far each consumer has come: of events, and '@outbox' of messages. 'relays' is the event up to which the relays know
-- of the ledger.
CREATE TABLE consumers (
  service INTEGER NOT NULL,
  name TEXT NOT NULL,
  position INTEGER NOT NULL,
  moved_at INTEGER NOT NULL,
  PRIMARY KEY (service, name)
) STRICT, WITHOUT ROWID;

-- ------------------------------------------------------------ double entry

-- Money that moves apart from a payment; each row is the whole double entry and cannot but sum to zero. Numbered, so
-- that what is written together stands together on disk. `reference` is a caller's own id, used once.
CREATE TABLE transfers (
  transfer INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  reference TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'invoice' OR kind = 'surplus' OR kind = 'unknown' OR kind = 'transfer'),
  debited TEXT NOT NULL,
  credited TEXT NOT NULL,
  amount_msat INTEGER NOT NULL CHECK (amount_msat > 0),
  note TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX transfers_by_reference ON transfers (service, reference) WHERE reference <> '';
-- What the owner has moved, by account: few among all that came in.
CREATE INDEX transfers_debited ON transfers (service, debited, transfer) WHERE kind = 'transfer';
CREATE INDEX transfers_credited ON transfers (service, credited, transfer) WHERE kind = 'transfer';

CREATE TRIGGER transfers_are_never_deleted BEFORE DELETE ON transfers
BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
CREATE TRIGGER transfers_are_never_changed BEFORE UPDATE ON transfers
BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;

-- Each settlement a node has confirmed, once. `unknown` is the owner's money, `surplus` a second payment of an invoice
-- that was settled inside this service. Of a `refused` one nothing was booked, because its amount cannot be true.
CREATE TABLE credits (
  service INTEGER NOT NULL,
  node_id TEXT NOT NULL,
  payment_hash TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'invoice' OR kind = 'surplus' OR kind = 'unknown' OR kind = 'refused'),
  transfer INTEGER,
  received_msat INTEGER NOT NULL CHECK (received_msat >= 0),
  settled_at INTEGER NOT NULL,
  PRIMARY KEY (service, node_id, payment_hash, kind),
  CHECK ((kind = 'refused') = (transfer IS NULL))
) STRICT, WITHOUT ROWID;

-- ------------------------------------------------------------ payments

-- A payment is its own double entry: open, it holds amount, fee cap and service fee of `account_id`; settled, it takes
-- amount and fee from there and gives the amount to `credited` and the fee to the fees. What is posted is the truth and
-- may exceed what was held: a node that overspends is booked, and an alarm raised. The service fee was decided at the
-- claim: it is an entry of its own, posted with the payment or never.
-- `holding` says in a column what the state says, because an index that names the state would be rewritten at each
-- settlement. `steps` names the states it has been in. `charges` is a JSON list of what it reserved of which budget:
-- [grant, bucket, oldest, amount, limit, used right after, budget]; what it took in the end follows from the state.
CREATE TABLE payments (
  payment INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  payment_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  account_id TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  payment_hash TEXT NOT NULL,
  bolt11 TEXT NOT NULL,
  amount_msat INTEGER NOT NULL CHECK (amount_msat > 0),
  fee_cap_msat INTEGER NOT NULL CHECK (fee_cap_msat >= 0),
  service_fee_msat INTEGER NOT NULL CHECK (service_fee_msat >= 0),
  created_at INTEGER NOT NULL,
  internal INTEGER NOT NULL CHECK (internal = 0 OR internal = 1),
  amountless INTEGER NOT NULL CHECK (amountless = 0 OR amountless = 1),
  expires_at INTEGER NOT NULL,
  description TEXT NOT NULL,
  description_hash TEXT NOT NULL,
  metadata TEXT NOT NULL,
  -- What is sent to a key without an invoice, as JSON; "" for an invoice.
  keysend TEXT NOT NULL,
  send_until INTEGER NOT NULL,
  -- The public key that asked for it, where several may use one grant.
  requestor TEXT NOT NULL,
  -- The node's own count of payments, seen before the claim.
  payment_index INTEGER,
  charges TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state = 'reserved' OR state = 'dispatched' OR state = 'settled' OR state = 'failed'
    OR state = 'unknown' OR state = 'resolved'),
  fee_msat INTEGER NOT NULL CHECK (fee_msat >= 0),
  preimage TEXT NOT NULL,
  evidence TEXT NOT NULL,
  settled_at INTEGER,
  credited TEXT,
  steps TEXT NOT NULL,
  holding INTEGER NOT NULL DEFAULT 1,
  UNIQUE (service, payment_id),
  CHECK ((bolt11 = '') = (keysend <> '')),
  CHECK (keysend = '' OR NOT amountless),
  CHECK (service_fee_msat = 0 OR NOT internal AND account_id <> 'owner'),
  CHECK (holding = (state <> 'failed')),
  CHECK ((state = 'settled') = (credited IS NOT NULL)),
  CHECK (state <> 'failed' AND state <> 'resolved' OR evidence <> ''),
  CHECK (state <> 'settled' OR preimage <> '' OR internal)
) STRICT;
-- At most one payment that is not proven failed per hash, at whichever node: a payee can take from two nodes what was
-- promised for one preimage.
CREATE UNIQUE INDEX payments_holding ON payments (service, payment_hash) WHERE holding = 1;
CREATE INDEX payments_failed ON payments (service, payment_hash, created_at) WHERE holding = 0;
-- The open ones are counted in it, by node and by grant: what decides is the rows themselves, and nothing that is kept
-- beside them. It names the state so that no row is looked at.
CREATE INDEX payments_open ON payments (service, node_id, grant_id, state)
WHERE state = 'reserved' OR state = 'dispatched' OR state = 'unknown';
-- Payments the operator closed without proof are asked about at every start: few rows among millions.
CREATE INDEX payments_resolved ON payments (service) WHERE state = 'resolved';
-- Lists of what was paid do not walk through what has failed, which an app can make without end.
CREATE INDEX payments_by_grant ON payments (service, grant_id, created_at) WHERE holding = 1;
CREATE INDEX payments_by_account ON payments (service, account_id, created_at) WHERE holding = 1;
CREATE INDEX payments_by_time ON payments (service, created_at) WHERE holding = 1;
CREATE INDEX failed_payments_by_grant ON payments (service, grant_id, created_at) WHERE holding = 0;
CREATE INDEX failed_payments_by_account ON payments (service, account_id, created_at) WHERE holding = 0;
CREATE INDEX failed_payments_by_time ON payments (service, created_at) WHERE holding = 0;

-- What a key was paid for so far is shown to the owner who is asked about it.
CREATE INDEX payments_by_requestor ON payments (service, requestor, created_at) WHERE requestor <> '';

CREATE TRIGGER payments_are_never_deleted BEFORE DELETE ON payments
BEGIN SELECT RAISE(ABORT, 'payments are append-only'); END;
CREATE TRIGGER payments_keep_what_was_claimed
BEFORE UPDATE OF account_id, grant_id, requestor, payment_hash, node_id, bolt11, keysend, amount_msat, fee_cap_msat, service_fee_msat,
  charges, payment_index ON payments
BEGIN SELECT RAISE(ABORT, 'what was claimed never changes'); END;
CREATE TRIGGER payments_end_once_and_tell_each_step
BEFORE UPDATE OF state, fee_msat, credited, steps ON payments BEGIN
  SELECT RAISE(ABORT, 'a settled or failed payment never changes') WHERE OLD.state IN ('settled', 'failed');
  SELECT RAISE(ABORT, 'steps are append-only') WHERE NEW.steps IS NOT OLD.steps || ' ' || NEW.state;
END;

CREATE VIEW entries AS
  SELECT service, 'payment ' || payment AS entry, account_id, -amount_msat - fee_msat AS amount_msat
  FROM payments WHERE state = 'settled'
  UNION ALL SELECT service, 'payment ' || payment, credited, amount_msat FROM payments WHERE state = 'settled'
  UNION ALL SELECT service, 'payment ' || payment, '@fees', fee_msat FROM payments
  WHERE state = 'settled' AND fee_msat > 0
  UNION ALL SELECT service, 'service fee ' || payment, account_id, -service_fee_msat FROM payments
  WHERE state = 'settled' AND service_fee_msat > 0
  UNION ALL SELECT service, 'service fee ' || payment, '@service-fees', service_fee_msat FROM payments
  WHERE state = 'settled' AND service_fee_msat > 0
  UNION ALL SELECT service, 'transfer ' || transfer, debited, -amount_msat FROM transfers
  UNION ALL SELECT service, 'transfer ' || transfer, credited, amount_msat FROM transfers;

-- Payments that cost more than their cap: the alarm outlives the account's mark, which the owner may clear.
CREATE TABLE overspends (
  service INTEGER NOT NULL,
  payment_id TEXT NOT NULL,
  fee_msat INTEGER NOT NULL,
  fee_cap_msat INTEGER NOT NULL,
  PRIMARY KEY (service, payment_id)
) STRICT, WITHOUT ROWID;

-- Each time an account became overdrawn or was covered again, with what was available then; written by the database
-- itself. What is here outlives the account's mark.
CREATE TABLE overdrafts (
  service INTEGER NOT NULL,
  account_id TEXT NOT NULL,
  overdrawn INTEGER NOT NULL CHECK (overdrawn IN (0, 1)),
  available_msat INTEGER NOT NULL,
  note TEXT NOT NULL
) STRICT;
CREATE TRIGGER overdrafts_are_noted AFTER UPDATE OF overdrawn ON accounts WHEN OLD.overdrawn <> NEW.overdrawn
BEGIN
  INSERT INTO overdrafts VALUES (
    NEW.service, NEW.account_id, NEW.overdrawn, NEW.credits_msat - NEW.posted_msat - NEW.pending_msat,
    CASE
      WHEN NEW.overdrawn THEN 'cost more than was held'
      WHEN NEW.credits_msat > OLD.credits_msat THEN 'covered by what came in'
      WHEN NEW.kind = 'owner' THEN 'covered by a fresh view of the node'
      ELSE 'cleared by the owner'
    END);
END;
CREATE TRIGGER overdrafts_are_never_changed BEFORE UPDATE ON overdrafts
BEGIN SELECT RAISE(ABORT, 'notes are append-only'); END;
CREATE TRIGGER overdrafts_are_never_deleted BEFORE DELETE ON overdrafts
BEGIN SELECT RAISE(ABORT, 'notes are append-only'); END;

-- ------------------------------------------------------------ approvals

-- What waits for the owner, or has waited. The requests that wait for it have its id for their payment_id; so has the
-- payment that follows. Each changes once, when it ends.
CREATE TABLE approvals (
  approval INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  approval_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'payment' OR kind = 'budget' OR kind = 'manage' OR kind = 'connection'),
  wire TEXT NOT NULL,
  caller TEXT NOT NULL,
  target TEXT NOT NULL,
  command BLOB NOT NULL,
  asked_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  is_known INTEGER NOT NULL CHECK (is_known = 0 OR is_known = 1),
  version INTEGER NOT NULL CHECK (version >= 1),
  state TEXT NOT NULL CHECK (state = 'open' OR state = 'approved' OR state = 'denied' OR state = 'expired'
    OR state = 'superseded'),
  decided_at INTEGER,
  decided_by TEXT NOT NULL,
  decided_as TEXT NOT NULL,
  decision TEXT NOT NULL,
  UNIQUE (service, approval_id),
  CHECK ((state = 'open') = (decided_at IS NULL))
) STRICT;
-- One caller has one open question at one target.
CREATE UNIQUE INDEX approvals_open ON approvals (service, wire, target, caller) WHERE state = 'open';
CREATE INDEX approvals_by_time ON approvals (service, asked_at);
-- Anybody may cause these: only the newest are kept. An owner looks at questions for connections; these stay.
CREATE INDEX approvals_refused ON approvals (service, is_known, asked_at)
WHERE (state = 'denied' OR state = 'expired' OR state = 'superseded') AND kind <> 'connection';
CREATE TRIGGER approvals_end_once BEFORE UPDATE ON approvals
WHEN OLD.state <> 'open' OR NEW.state = 'open' OR NEW.version <> OLD.version + 1 OR NEW.command <> OLD.command
BEGIN SELECT RAISE(ABORT, 'a question is decided once, and as it was asked'); END;

CREATE TABLE blocks (
  service INTEGER NOT NULL,
  caller TEXT NOT NULL,
  at INTEGER NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (service, caller)
) STRICT, WITHOUT ROWID;

-- Words that are good once. `holder` is the approval or the payment (they have one id) that has it, '' while it is free.
-- Those that we have made have bounds; any other is here because somebody has shown it.
CREATE TABLE tokens (
  service INTEGER NOT NULL,
  scope TEXT NOT NULL,
  value TEXT NOT NULL,
  min_msat INTEGER,
  max_msat INTEGER,
  expires_at INTEGER,
  minted_at INTEGER,
  holder TEXT NOT NULL,
  PRIMARY KEY (service, scope, value),
  CHECK ((minted_at IS NULL) = (expires_at IS NULL) AND (minted_at IS NULL) = (max_msat IS NULL)
    AND (minted_at IS NULL) = (min_msat IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_holder ON tokens (service, holder) WHERE holder <> '';
CREATE INDEX tokens_free ON tokens (service, expires_at) WHERE holder = '' AND expires_at IS NOT NULL;
CREATE INDEX tokens_minted ON tokens (service, scope, minted_at) WHERE minted_at IS NOT NULL;

-- ------------------------------------------------------------ budgets

-- The running sum of what a grant has used of one of its budgets from `oldest` on; what has left the window is taken out when the next charge
-- comes. `reserved_msat` is the sum right after the last reservation: none goes beyond its limit, while the truth about
-- a payment may. Of a calendar budget `ends` is the end of the period, at the earliest, and `last_at` the time of the
-- newest charge; 0 of any other. `before_msat` and `before_at` are what the period before had used when it ended, and its
-- newest charge.
CREATE TABLE budgets (
  service INTEGER NOT NULL,
  grant_id TEXT NOT NULL,
  budget_id INTEGER NOT NULL,
  used_msat INTEGER NOT NULL,
  oldest INTEGER NOT NULL,
  ends INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  before_msat INTEGER NOT NULL,
  before_at INTEGER NOT NULL,
  reserved_msat INTEGER NOT NULL,
  limit_msat INTEGER NOT NULL,
  PRIMARY KEY (service, grant_id, budget_id),
  CHECK (reserved_msat <= limit_msat)
) STRICT, WITHOUT ROWID;

-- What each payment reserved of which bucket, and what it took of it in the end, or may still take.
CREATE VIEW charges AS
  SELECT p.service, p.payment_id, json_extract(c.value, '$[0]') AS grant_id, json_extract(c.value, '$[1]') AS bucket,
    json_extract(c.value, '$[2]') AS oldest, json_extract(c.value, '$[3]') AS amount_msat,
    json_extract(c.value, '$[4]') AS limit_msat, json_extract(c.value, '$[5]') AS used_msat,
    json_extract(c.value, '$[6]') AS budget_id,
    CASE p.state WHEN 'settled' THEN p.amount_msat + p.fee_msat + p.service_fee_msat WHEN 'failed' THEN 0 WHEN 'resolved' THEN 0
      ELSE json_extract(c.value, '$[3]') END AS taken_msat
  FROM payments p, json_each(p.charges) c;

-- Of rolling budgets only: a calendar period is one bucket, the budget itself.
CREATE TABLE buckets (
  service INTEGER NOT NULL,
  grant_id TEXT NOT NULL,
  budget_id INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  used_msat INTEGER NOT NULL CHECK (used_msat >= 0),
  PRIMARY KEY (service, grant_id, budget_id, bucket)
) STRICT, WITHOUT ROWID;

-- ------------------------------------------------------------ invoices

CREATE TABLE invoices (
  invoice INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  invoice_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  account_id TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  payment_hash TEXT NOT NULL,
  bolt11 TEXT NOT NULL,
  amount_msat INTEGER CHECK (amount_msat > 0),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state = 'open' OR state = 'accepted' OR state = 'settled' OR state = 'expired'
    OR state = 'canceled' OR state = 'left'),
  preimage TEXT NOT NULL,
  description TEXT NOT NULL,
  description_hash TEXT NOT NULL,
  metadata TEXT NOT NULL,
  offer_id TEXT NOT NULL,
  payer_data TEXT NOT NULL,
  -- The zap request (NIP-57) that it is the answer to, as it was received; "" for none.
  zap TEXT NOT NULL,
  -- The exchange rate that it was priced with, as JSON; "" for a price in sats.
  rate TEXT NOT NULL,
  request_id TEXT NOT NULL,
  received_msat INTEGER CHECK (received_msat > 0),
  settled_at INTEGER,
  internal INTEGER NOT NULL CHECK (internal IN (0, 1)),
  -- Tells the payers of an offer apart; a hash of its id and the payer's key.
  payer TEXT NOT NULL,
  -- Above 0 of hold invoices: so many blocks a payment leaves for the decision. What is decided is stored before the
  -- node is told; about an ordinary invoice the owner can decide that it is to be cancelled.
  hold_blocks INTEGER NOT NULL CHECK (hold_blocks >= 0),
  decision TEXT NOT NULL CHECK (decision = '' OR decision = 'settle' OR decision = 'cancel'),
  settle_deadline INTEGER,
  -- The payment of this service that is held, '' for one that the node holds.
  held_by TEXT NOT NULL,
  is_warned INTEGER NOT NULL CHECK (is_warned = 0 OR is_warned = 1),
  UNIQUE (service, invoice_id),
  CHECK (state <> 'settled' OR received_msat IS NOT NULL),
  CHECK (state <> 'accepted' OR received_msat IS NOT NULL AND settle_deadline IS NOT NULL),
  CHECK (hold_blocks > 0 OR decision <> 'settle' AND settle_deadline IS NULL AND held_by = ''),
  -- An ordinary one is cancelled by a decision alone, and after it is paid by nobody inside the service.
  CHECK (hold_blocks > 0 OR state <> 'canceled' OR decision = 'cancel'),
  CHECK (hold_blocks > 0 OR decision = '' OR internal = 0),
  CHECK (decision <> 'settle' OR preimage <> '')
) STRICT;
CREATE UNIQUE INDEX invoices_by_hash ON invoices (service, payment_hash, node_id) WHERE payment_hash <> '';
CREATE INDEX invoices_unpaid ON invoices (service, state, expires_at) WHERE state <> 'settled';
CREATE INDEX invoices_held ON invoices (service, invoice)
WHERE hold_blocks > 0 AND (state = 'open' OR state = 'accepted');
CREATE INDEX invoices_to_cancel ON invoices (service, invoice)
WHERE decision = 'cancel' AND hold_blocks = 0 AND state = 'open';
CREATE INDEX invoices_abandoned ON invoices (service, expires_at) WHERE state = 'expired' AND offer_id <> '';
-- Of each connection only the newest of these are kept: an app may ask for any number.
CREATE INDEX invoices_ended_unpaid ON invoices (service, grant_id, expires_at, state)
WHERE (state = 'expired' OR state = 'canceled') AND grant_id <> '';
CREATE INDEX invoices_by_grant ON invoices (service, grant_id, created_at);
CREATE INDEX invoices_by_account ON invoices (service, account_id, created_at);
CREATE INDEX invoices_by_time ON invoices (service, created_at);
CREATE INDEX invoices_by_offer ON invoices (service, offer_id, created_at) WHERE offer_id <> '';
CREATE INDEX settled_invoices_by_grant ON invoices (service, grant_id, created_at) WHERE state = 'settled';
CREATE INDEX settled_invoices_by_account ON invoices (service, account_id, created_at) WHERE state = 'settled';
CREATE INDEX settled_invoices_by_time ON invoices (service, created_at) WHERE state = 'settled';

-- The table of base/invoices.py.
CREATE TRIGGER invoices_settle_once BEFORE UPDATE OF state ON invoices
WHEN NEW.state = OLD.state OR OLD.state <> 'open' AND NEW.state <> 'settled'
  AND NOT (OLD.state = 'left' AND NEW.state = 'open') AND NOT (OLD.state = 'accepted' AND NEW.state = 'canceled')
BEGIN SELECT RAISE(ABORT, 'an invoice that has ended may only be settled, once'); END;
CREATE TRIGGER invoices_are_decided_once BEFORE UPDATE OF decision ON invoices WHEN OLD.decision <> ''
BEGIN SELECT RAISE(ABORT, 'an invoice is decided once'); END;

-- How many invoices wait for a payer, or for a decision about what is held, at a node: of a grant, of an offer ('offer:' + its id), of one payer of it ('payer:'
-- + its name there), of all offers together ('@offers'), and of everybody ('@all'); none is no row. Kept, never summed.
-- Apart for each node, because only its own node ends an invoice.
CREATE TABLE open_invoices (
  service INTEGER NOT NULL,
  node_id TEXT NOT NULL,
  holder TEXT NOT NULL,
  number INTEGER NOT NULL CHECK (number > 0),
  PRIMARY KEY (service, node_id, holder)
) STRICT, WITHOUT ROWID;

-- ------------------------------------------------------------ webhooks

-- Who is to be told what an offer was paid: one row for each invoice that settled while its offer had a webhook, written
-- in that transaction. `event` is the one that tells the settlement. Waiting ones are tried from `next_at` on; attempts
-- are counted from `tried_since`, the first one since it was written or sent again.
CREATE TABLE deliveries (
  delivery INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  invoice_id TEXT NOT NULL,
  offer_id TEXT NOT NULL,
  creator TEXT NOT NULL,
  event INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state = 'waiting' OR state = 'delivered' OR state = 'failed'),
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  tried_since INTEGER,
  next_at INTEGER NOT NULL,
  status TEXT NOT NULL,
  ended_at INTEGER,
  UNIQUE (service, invoice_id),
  CHECK ((state = 'waiting') = (ended_at IS NULL))
) STRICT;
CREATE INDEX deliveries_waiting ON deliveries (service, offer_id, next_at, attempts) WHERE state = 'waiting';
CREATE INDEX deliveries_of_creator ON deliveries (service, creator) WHERE state = 'waiting' AND creator <> '';
CREATE INDEX deliveries_by_offer ON deliveries (service, offer_id, delivery);
CREATE INDEX deliveries_delivered ON deliveries (service, event) WHERE state = 'delivered';
CREATE INDEX deliveries_failed ON deliveries (service, ended_at) WHERE state = 'failed';
CREATE INDEX deliveries_failed_by_offer ON deliveries (service, offer_id, ended_at) WHERE state = 'failed';
