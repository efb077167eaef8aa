-- Members. What belongs to one is written by one transaction. A welcome message is a row of
-- `notices`, whose `order_id` is `member:` and the member's id.

CREATE TABLE members (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    phone        TEXT    NOT NULL UNIQUE,
    content_hash TEXT    NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE member_profiles (
    member_id TEXT    NOT NULL PRIMARY KEY,
    age       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE member_consents (
    member_id TEXT    NOT NULL,
    consent   TEXT    NOT NULL,
    given     INTEGER NOT NULL,
    asked_at  INTEGER NOT NULL,
    PRIMARY KEY (member_id, consent)
) STRICT, WITHOUT ROWID;
