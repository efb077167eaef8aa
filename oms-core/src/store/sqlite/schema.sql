-- Moments are microseconds since the Unix epoch. A row is worked on when `due_at` has come; while
-- it is leased, `due_at` is the lease's end, so that one index finds both what is due and what was
-- left behind. A row that is held or at rest has none.
--
-- Orders are never deleted, and parcels and notices are only written by transactions that have read
-- or written their order, so no foreign key guards them.

CREATE TABLE orders (
    id           TEXT    NOT NULL PRIMARY KEY,
    state        TEXT    NOT NULL,
    content      TEXT    NOT NULL, -- the order as JSON
    content_hash TEXT    NOT NULL,
    called_back  INTEGER NOT NULL DEFAULT 0, -- went through `cancelling` since it was last accepted
    reason       TEXT,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_by_state ON orders (state, id);

CREATE TABLE parcels (
    order_id      TEXT    NOT NULL,
    number        INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    -- The intent: the exact request, written before it is sent.
    invoice_no    TEXT,
    rcpt_ymd      TEXT,
    cust_use_no   TEXT UNIQUE,
    mpck_key      TEXT,
    request       TEXT,
    -- Where the work stands.
    attempts      INTEGER NOT NULL DEFAULT 0,
    rounds        INTEGER NOT NULL DEFAULT 0,
    sent_until    INTEGER,
    unknown_since INTEGER,
    picked_up     INTEGER NOT NULL DEFAULT 0,
    parked_from   TEXT, -- the state in which a person was asked
    due_at        INTEGER,
    lease_worker  TEXT,
    lease_token   INTEGER NOT NULL DEFAULT 0,
    lease_until   INTEGER,
    settled       TEXT, -- the outcome that gave the lease of `lease_token` back
    reason        TEXT,
    PRIMARY KEY (order_id, number)
) STRICT;
CREATE INDEX parcels_due ON parcels (due_at, order_id, number) WHERE due_at IS NOT NULL;
CREATE INDEX parcels_by_state ON parcels (state, order_id);

-- The outbox, and the log of what was sent.
CREATE TABLE notices (
    order_id       TEXT    NOT NULL,
    event          TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    msg_key        TEXT,
    sent_at        INTEGER,
    report_code    TEXT,
    report_channel TEXT,
    reported_at    INTEGER,
    attempts       INTEGER NOT NULL DEFAULT 0,
    rounds         INTEGER NOT NULL DEFAULT 0,
    first_sent_at  INTEGER,
    given_up       INTEGER NOT NULL DEFAULT 0,
    due_at         INTEGER,
    lease_worker   TEXT,
    lease_token    INTEGER NOT NULL DEFAULT 0,
    lease_until    INTEGER,
    settled        TEXT,
    reason         TEXT,
    PRIMARY KEY (order_id, event)
) STRICT;
CREATE INDEX notices_due ON notices (due_at, order_id, event) WHERE due_at IS NOT NULL;
CREATE INDEX notices_by_state ON notices (state);
CREATE INDEX notices_unreported ON notices (sent_at)
    WHERE sent_at IS NOT NULL AND report_code IS NULL;

-- Reports of messages that no notification is known for yet.
CREATE TABLE reports (
    msg_key     TEXT    NOT NULL PRIMARY KEY,
    reference   TEXT    NOT NULL,
    code        TEXT    NOT NULL,
    channel     TEXT    NOT NULL,
    reported_at INTEGER,
    received_at INTEGER NOT NULL
) STRICT;
CREATE INDEX reports_by_reference ON reports (reference, received_at, msg_key);

-- Every walked edge, in the order of the commits.
CREATE TABLE transitions (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    entity     TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    from_state TEXT,
    to_state   TEXT    NOT NULL,
    walked_by  TEXT    NOT NULL
) STRICT;

-- What is known of the carrier's and the gateway's quotas.
CREATE TABLE quotas (
    quota         TEXT    NOT NULL PRIMARY KEY,
    blocked_until INTEGER NOT NULL DEFAULT 0,
    last_permit   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Calls that still count: a permit is held until its call has ended, and counts for a window more.
CREATE TABLE permits (
    quota   TEXT    NOT NULL,
    id      INTEGER NOT NULL,
    ends_at INTEGER NOT NULL, -- when the call ended; while that is not known, at the latest
    PRIMARY KEY (quota, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX permits_by_end ON permits (quota, ends_at);

-- What operators did.
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    order_id TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    done_by  TEXT    NOT NULL,
    answer   TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_by_order ON audit (order_id, at);
