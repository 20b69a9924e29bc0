-- The ledger. Amounts are integers in msat, times Unix seconds given by the caller; no statement reads a clock.
-- Several services may share one file: every key begins with `service`, the small number of a service id.
-- Written for few and cheap writes per payment: rows are numbered in the order they come, what belongs together is one
-- row, and a list of more than two texts is spelled with OR (SQLite builds a table in memory for IN, at every write).

CREATE TABLE services (
  service INTEGER PRIMARY KEY,
  service_id TEXT NOT NULL UNIQUE
) STRICT;

-- One row per service, so that no request ever sums anything. `audit` rebuilds every figure in it.
-- node_balance_msat: the last view an owner's claim was granted on, plus what was open then, moved by what came and went.
CREATE TABLE totals (
  service INTEGER PRIMARY KEY,
  spent_msat INTEGER NOT NULL DEFAULT 0 CHECK (spent_msat >= 0),
  sub_accounts_msat INTEGER NOT NULL DEFAULT 0,
  owner_pending_msat INTEGER NOT NULL DEFAULT 0 CHECK (owner_pending_msat >= 0),
  pending_msat INTEGER NOT NULL DEFAULT 0 CHECK (pending_msat >= 0),
  node_balance_msat INTEGER,
  spending_stopped TEXT NOT NULL DEFAULT '',
  stopped_at INTEGER,
  pruned_before INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE nodes (
  service INTEGER NOT NULL,
  node_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  backend TEXT NOT NULL,
  network TEXT NOT NULL,
  cursor BLOB NOT NULL,
  PRIMARY KEY (service, node_id)
) STRICT, WITHOUT ROWID;

-- Every account, also the two that are not a user's: the world outside and the routing fees. The sums are kept.
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
  PRIMARY KEY (service, account_id),
  CHECK (credits_msat - posted_msat - pending_msat >= 0 OR overdrawn OR kind <> 'sub')
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
  service INTEGER NOT NULL,
  grant_id TEXT NOT NULL,
  name TEXT NOT NULL,
  wire TEXT NOT NULL,
  caller TEXT NOT NULL,
  service_pubkey TEXT NOT NULL,
  account_id TEXT NOT NULL,
  methods TEXT NOT NULL,
  budget_limit_msat INTEGER CHECK (budget_limit_msat >= 0),
  budget_period TEXT,
  budget_length_s INTEGER,
  per_payment_msat INTEGER CHECK (per_payment_msat >= 0),
  expires_at INTEGER,
  cipher TEXT NOT NULL,
  nip44_seen INTEGER NOT NULL CHECK (nip44_seen IN (0, 1)),
  revoked_at INTEGER,
  created_at INTEGER NOT NULL,
  version INTEGER NOT NULL CHECK (version >= 1),
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
  payer_data TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state = 'open' OR state = 'moved' OR state = 'deleted'),
  latest TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (service, offer_id)
) STRICT, WITHOUT ROWID;

-- ------------------------------------------------------------ requests and replies

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
  finished_at INTEGER,
  UNIQUE (service, request_id)
) STRICT;
CREATE INDEX requests_by_time ON requests (service, received_at);
CREATE INDEX requests_unanswered ON requests (service, payment_id, received_at) WHERE finished_at IS NULL;

-- The reply to request n is message 2n, its receipt 2n + 1: so there is one of each, and new ones stand at the end.
CREATE TABLE messages (
  message INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  part TEXT NOT NULL CHECK (part = iif(message % 2, 'receipt', 'reply')),
  plaintext BLOB NOT NULL,
  event BLOB NOT NULL,
  signed_at INTEGER NOT NULL,
  reply_to BLOB NOT NULL
) STRICT;

-- Messages that no relay has taken yet.
CREATE TABLE outbox (
  service INTEGER NOT NULL,
  message INTEGER NOT NULL,
  PRIMARY KEY (service, message)
) STRICT, WITHOUT ROWID;

-- ------------------------------------------------------------ double entry

-- Numbered, so that what is written together stands together on disk. `reference` is a caller's own id, used once.
-- Posted, it takes amount and fee from `account_id` and gives the amount to `credited` and the fee to the fees: one row
-- is the whole double entry and cannot but sum to zero. What is posted is the truth and may exceed what was held: a
-- node that overspends is booked, and an alarm raised.
CREATE TABLE transfers (
  transfer INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  reference TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'payment' OR kind = 'internal' OR kind = 'late' OR kind = 'invoice'
    OR kind = 'surplus' OR kind = 'unknown' OR kind = 'transfer'),
  account_id TEXT NOT NULL,
  held_msat INTEGER NOT NULL CHECK (held_msat >= 0),
  credited TEXT,
  amount_msat INTEGER CHECK (amount_msat > 0),
  fee_msat INTEGER CHECK (fee_msat >= 0),
  state TEXT NOT NULL CHECK (state = 'pending' OR state = 'posted' OR state = 'voided'),
  note TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  CHECK ((state = 'posted') = (amount_msat IS NOT NULL) AND (state = 'posted') = (fee_msat IS NOT NULL)
    AND (state = 'posted') = (credited IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX transfers_by_reference ON transfers (service, reference) WHERE reference <> '';

CREATE VIEW entries AS
  SELECT service, transfer, 0 AS leg, account_id, -amount_msat - fee_msat AS amount_msat
  FROM transfers WHERE state = 'posted'
  UNION ALL SELECT service, transfer, 1, credited, amount_msat FROM transfers WHERE state = 'posted'
  UNION ALL SELECT service, transfer, 2, '@fees', fee_msat FROM transfers WHERE state = 'posted' AND fee_msat > 0;

CREATE TRIGGER transfers_are_never_deleted BEFORE DELETE ON transfers
BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
CREATE TRIGGER transfers_end_once BEFORE UPDATE ON transfers
WHEN OLD.state <> 'pending' OR NEW.state = 'pending' OR NEW.held_msat <> OLD.held_msat
  OR NEW.account_id <> OLD.account_id
BEGIN SELECT RAISE(ABORT, 'a transfer is only ever posted or voided, exactly once'); END;

-- Each settlement a node has confirmed, once. `unknown` is the owner's money, `surplus` a second payment of an invoice
-- that was settled inside this service.
CREATE TABLE credits (
  service INTEGER NOT NULL,
  node_id TEXT NOT NULL,
  payment_hash TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'invoice' OR kind = 'surplus' OR kind = 'unknown'),
  transfer INTEGER NOT NULL,
  received_msat INTEGER NOT NULL CHECK (received_msat > 0),
  settled_at INTEGER NOT NULL,
  PRIMARY KEY (service, node_id, payment_hash, kind)
) STRICT, WITHOUT ROWID;

-- ------------------------------------------------------------ payments

-- `holding` says in a column what the state says, because an index that names the state would be rewritten at each
-- settlement. `transfer` is the reservation, and the key of its charges. `steps` names the states it has been in.
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
  created_at INTEGER NOT NULL,
  internal INTEGER NOT NULL CHECK (internal IN (0, 1)),
  amountless INTEGER NOT NULL CHECK (amountless IN (0, 1)),
  expires_at INTEGER NOT NULL,
  description TEXT NOT NULL,
  description_hash TEXT NOT NULL,
  metadata TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state = 'reserved' OR state = 'dispatched' OR state = 'settled' OR state = 'failed'
    OR state = 'unknown' OR state = 'resolved'),
  fee_msat INTEGER NOT NULL CHECK (fee_msat >= 0),
  preimage TEXT NOT NULL,
  evidence TEXT NOT NULL,
  settled_at INTEGER,
  transfer INTEGER NOT NULL,
  charges INTEGER NOT NULL,
  steps TEXT NOT NULL,
  holding INTEGER NOT NULL DEFAULT 1,
  UNIQUE (service, payment_id),
  CHECK (holding = (state <> 'failed')),
  CHECK (state NOT IN ('failed', 'resolved') OR evidence <> ''),
  CHECK (state <> 'settled' OR preimage <> '' OR internal)
) STRICT;
-- At most one payment that is not proven failed per (service, node, hash). The hash stands before the node so that a
-- look-up by hash alone uses the same index.
CREATE UNIQUE INDEX payments_holding ON payments (service, payment_hash, node_id) WHERE holding = 1;
CREATE INDEX payments_failed ON payments (service, payment_hash, created_at) WHERE holding = 0;
CREATE INDEX payments_open ON payments (service) WHERE state = 'reserved' OR state = 'dispatched' OR state = 'unknown';
CREATE INDEX payments_by_grant ON payments (service, grant_id, created_at);
CREATE INDEX payments_by_account ON payments (service, account_id, created_at);
CREATE INDEX payments_by_time ON payments (service, created_at);

-- Payments that cost more than their cap: the alarm outlives the account's mark, which the owner may clear.
CREATE TABLE overspends (
  service INTEGER NOT NULL,
  payment_id TEXT NOT NULL,
  fee_msat INTEGER NOT NULL,
  fee_cap_msat INTEGER NOT NULL,
  PRIMARY KEY (service, payment_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER payments_end_once_and_tell_each_step BEFORE UPDATE OF state, steps ON payments BEGIN
  SELECT RAISE(ABORT, 'a settled or failed payment never changes') WHERE OLD.state IN ('settled', 'failed');
  SELECT RAISE(ABORT, 'steps are append-only') WHERE NEW.steps IS NOT OLD.steps || ' ' || NEW.state;
END;

-- ------------------------------------------------------------ budgets

-- The running sum of a grant's buckets from `oldest` on; expired buckets are subtracted when the next charge comes.
CREATE TABLE budgets (
  service INTEGER NOT NULL,
  grant_id TEXT NOT NULL,
  used_msat INTEGER NOT NULL,
  oldest INTEGER NOT NULL,
  PRIMARY KEY (service, grant_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE buckets (
  service INTEGER NOT NULL,
  grant_id TEXT NOT NULL,
  bucket INTEGER NOT NULL,
  used_msat INTEGER NOT NULL CHECK (used_msat >= 0),
  PRIMARY KEY (service, grant_id, bucket)
) STRICT, WITHOUT ROWID;

-- What a payment reserved in which bucket; what it took in the end follows from the payment's state.
-- used_msat is the budget right after the reservation: none goes beyond its limit.
CREATE TABLE charges (
  service INTEGER NOT NULL,
  transfer INTEGER NOT NULL,
  grant_id TEXT NOT NULL,
  bucket INTEGER NOT NULL,
  amount_msat INTEGER NOT NULL CHECK (amount_msat >= 0),
  limit_msat INTEGER NOT NULL,
  used_msat INTEGER NOT NULL,
  PRIMARY KEY (service, transfer, grant_id),
  CHECK (used_msat <= limit_msat)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER charges_are_never_changed BEFORE UPDATE ON charges
BEGIN SELECT RAISE(ABORT, 'charges are append-only'); END;
CREATE TRIGGER charges_are_never_deleted BEFORE DELETE ON charges
BEGIN SELECT RAISE(ABORT, 'charges are append-only'); END;

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
  state TEXT NOT NULL CHECK (state = 'creating' OR state = 'open' OR state = 'settled' OR state = 'expired'
    OR state = 'canceled'),
  preimage TEXT NOT NULL,
  description TEXT NOT NULL,
  description_hash TEXT NOT NULL,
  metadata TEXT NOT NULL,
  offer_id TEXT NOT NULL,
  payer_data TEXT NOT NULL,
  request_id TEXT NOT NULL,
  received_msat INTEGER CHECK (received_msat > 0),
  settled_at INTEGER,
  internal INTEGER NOT NULL CHECK (internal IN (0, 1)),
  UNIQUE (service, invoice_id),
  CHECK (state <> 'settled' OR received_msat IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX invoices_by_hash ON invoices (service, payment_hash, node_id) WHERE payment_hash <> '';
CREATE INDEX invoices_unpaid ON invoices (service, state, expires_at) WHERE state <> 'settled';
CREATE INDEX invoices_awaited ON invoices (service, request_id) WHERE state IN ('creating', 'open');
CREATE INDEX invoices_by_grant ON invoices (service, grant_id, created_at);
CREATE INDEX invoices_by_account ON invoices (service, account_id, created_at);
CREATE INDEX invoices_by_time ON invoices (service, created_at);
CREATE INDEX settled_invoices_by_grant ON invoices (service, grant_id, created_at) WHERE state = 'settled';
CREATE INDEX settled_invoices_by_account ON invoices (service, account_id, created_at) WHERE state = 'settled';
CREATE INDEX settled_invoices_by_time ON invoices (service, created_at) WHERE state = 'settled';

-- How many invoices of a grant, or of an offer (holder 'offer:' + its id), wait for a payer: counted, never summed.
CREATE TABLE open_invoices (
  service INTEGER NOT NULL,
  holder TEXT NOT NULL,
  number INTEGER NOT NULL CHECK (number >= 0),
  PRIMARY KEY (service, holder)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER invoices_are_counted AFTER INSERT ON invoices WHEN NEW.state IN ('creating', 'open')
BEGIN
  INSERT INTO open_invoices
  VALUES (NEW.service, iif(NEW.grant_id = '', 'offer:' || NEW.offer_id, NEW.grant_id), 1)
  ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER ended_invoices_are_not_counted AFTER UPDATE OF state ON invoices
WHEN OLD.state IN ('creating', 'open') AND NEW.state NOT IN ('creating', 'open')
BEGIN
  UPDATE open_invoices SET number = number - 1
  WHERE service = OLD.service AND holder = iif(OLD.grant_id = '', 'offer:' || OLD.offer_id, OLD.grant_id);
END;
CREATE TRIGGER deleted_invoices_are_not_counted AFTER DELETE ON invoices WHEN OLD.state IN ('creating', 'open')
BEGIN
  UPDATE open_invoices SET number = number - 1
  WHERE service = OLD.service AND holder = iif(OLD.grant_id = '', 'offer:' || OLD.offer_id, OLD.grant_id);
END;
