-- What workers say of themselves, for people; the row of one that ends well goes with it.

CREATE TABLE workers (
    name     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    since    BIGINT           NOT NULL,
    heard_at BIGINT           NOT NULL,
    breakers TEXT             NOT NULL
);
