-- Whose work it is: claims take turns between sellers. The seller without a name is nobody.

ALTER TABLE parcels ADD COLUMN seller TEXT NOT NULL DEFAULT '';
CREATE INDEX parcels_by_seller ON parcels (seller, due_at, order_id, number)
    WHERE due_at IS NOT NULL;

ALTER TABLE notices ADD COLUMN seller TEXT NOT NULL DEFAULT '';
CREATE INDEX notices_by_seller ON notices (seller, due_at, order_id, event)
    WHERE due_at IS NOT NULL;
