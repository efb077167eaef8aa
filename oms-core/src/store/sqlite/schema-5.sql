-- What workers say of themselves, for people; the row of one that ends well goes with it.

CREATE TABLE workers (
    name     TEXT    NOT NULL PRIMARY KEY,
    since    INTEGER NOT NULL,
    heard_at INTEGER NOT NULL,
    breakers TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
