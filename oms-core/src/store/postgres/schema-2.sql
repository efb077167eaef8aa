-- The tables of SQLite's schema-2.sql.

CREATE TABLE members (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name         TEXT   NOT NULL,
    phone        TEXT   NOT NULL CONSTRAINT members_one_phone UNIQUE,
    content_hash TEXT   NOT NULL,
    created_at   BIGINT NOT NULL
);

CREATE TABLE member_profiles (
    member_id TEXT   NOT NULL PRIMARY KEY,
    age       BIGINT NOT NULL
);

CREATE TABLE member_consents (
    member_id TEXT    COLLATE "C" NOT NULL,
    consent   TEXT    COLLATE "C" NOT NULL,
    given     BOOLEAN NOT NULL,
    asked_at  BIGINT  NOT NULL,
    PRIMARY KEY (member_id, consent)
);
