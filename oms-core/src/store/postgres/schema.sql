-- The tables of SQLite's schema.sql, column for column; see there what each is for. Texts compare
-- byte by byte, as there, whatever language the database speaks. Moments are microseconds since the
-- Unix epoch.

CREATE TABLE orders (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    state        TEXT    NOT NULL,
    content      TEXT    NOT NULL,
    content_hash TEXT    NOT NULL,
    called_back  BOOLEAN NOT NULL DEFAULT FALSE,
    reason       TEXT,
    created_at   BIGINT  NOT NULL,
    updated_at   BIGINT  NOT NULL
);
CREATE INDEX orders_by_state ON orders (state, id);

CREATE TABLE parcels (
    order_id      TEXT COLLATE "C" NOT NULL,
    number        BIGINT  NOT NULL,
    state         TEXT    NOT NULL,
    invoice_no    TEXT,
    rcpt_ymd      TEXT,
    cust_use_no   TEXT CONSTRAINT parcels_one_cust_use_no UNIQUE,
    mpck_key      TEXT,
    request       TEXT,
    attempts      BIGINT  NOT NULL DEFAULT 0,
    rounds        BIGINT  NOT NULL DEFAULT 0,
    sent_until    BIGINT,
    unknown_since BIGINT,
    picked_up     BOOLEAN NOT NULL DEFAULT FALSE,
    parked_from   TEXT,
    due_at        BIGINT,
    lease_worker  TEXT,
    lease_token   BIGINT  NOT NULL DEFAULT 0,
    lease_until   BIGINT,
    settled       TEXT,
    reason        TEXT,
    PRIMARY KEY (order_id, number)
);
CREATE INDEX parcels_due ON parcels (due_at, order_id, number) WHERE due_at IS NOT NULL;
CREATE INDEX parcels_by_state ON parcels (state, order_id);

CREATE TABLE notices (
    order_id       TEXT COLLATE "C" NOT NULL,
    event          TEXT COLLATE "C" NOT NULL,
    state          TEXT    NOT NULL,
    msg_key        TEXT,
    sent_at        BIGINT,
    report_code    TEXT,
    report_channel TEXT,
    reported_at    BIGINT,
    attempts       BIGINT  NOT NULL DEFAULT 0,
    rounds         BIGINT  NOT NULL DEFAULT 0,
    first_sent_at  BIGINT,
    given_up       BOOLEAN NOT NULL DEFAULT FALSE,
    due_at         BIGINT,
    lease_worker   TEXT,
    lease_token    BIGINT  NOT NULL DEFAULT 0,
    lease_until    BIGINT,
    settled        TEXT,
    reason         TEXT,
    PRIMARY KEY (order_id, event)
);
CREATE INDEX notices_due ON notices (due_at, order_id, event) WHERE due_at IS NOT NULL;
CREATE INDEX notices_by_state ON notices (state);
CREATE INDEX notices_unreported ON notices (sent_at)
    WHERE sent_at IS NOT NULL AND report_code IS NULL;

CREATE TABLE reports (
    msg_key     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    reference   TEXT COLLATE "C" NOT NULL,
    code        TEXT   NOT NULL,
    channel     TEXT   NOT NULL,
    reported_at BIGINT,
    received_at BIGINT NOT NULL
);
CREATE INDEX reports_by_reference ON reports (reference, received_at, msg_key);

-- Of one order in the order of the commits, since each of its edges is walked under its lock; of
-- different orders in the order in which they were walked.
CREATE TABLE transitions (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT NOT NULL,
    entity     TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    from_state TEXT,
    to_state   TEXT   NOT NULL,
    walked_by  TEXT   NOT NULL
);

CREATE TABLE quotas (
    quota         TEXT   NOT NULL PRIMARY KEY,
    blocked_until BIGINT NOT NULL DEFAULT 0,
    last_permit   BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE permits (
    quota   TEXT   NOT NULL,
    id      BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    PRIMARY KEY (quota, id)
);
CREATE INDEX permits_by_end ON permits (quota, ends_at);

CREATE TABLE audit (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       BIGINT NOT NULL,
    order_id TEXT   NOT NULL,
    action   TEXT   NOT NULL,
    done_by  TEXT   NOT NULL,
    answer   TEXT   NOT NULL
);
CREATE INDEX audit_by_order ON audit (order_id, at);
