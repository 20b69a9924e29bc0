-- Payments the operator closed without proof are asked about at every start: few rows among millions.
CREATE INDEX payments_resolved ON payments (service) WHERE state = 'resolved';

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
