-- What is left of an order that was pruned: enough to know it again, and not to ship it twice.

CREATE TABLE pruned (
    order_id     TEXT    NOT NULL PRIMARY KEY,
    state        TEXT    NOT NULL,
    content_hash TEXT    NOT NULL,
    pruned_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
