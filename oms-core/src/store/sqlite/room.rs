//! A disk that is full for a while, which drills do to a file.

use std::sync::Arc;

use rusqlite::Connection;

/// Whether the disk is full just now.
pub type DiskFull = Arc<dyn Fn() -> bool + Send + Sync>;

/// SQLite's own bound, which no file reaches.
const PAGES_MAX: u32 = 4_294_967_294;

/// Lets a file grow only while there is room.
pub(in crate::store) struct Room {
    /// Without it there always is.
    full: Option<DiskFull>,
    /// What the connection was told last.
    told: Option<bool>,
}

impl Room {
    pub(in crate::store) fn new(full: Option<DiskFull>) -> Room {
        Room { full, told: None }
    }

    /// Looks how things are, before a connection writes.
    pub(in crate::store) fn look(&mut self, db: &Connection) {
        let Some(full) = self.full.as_ref().map(|full| full()) else { return };
        if self.told == Some(full) {
            return;
        }
        // Less than the file has is as many as it has.
        let pages = if full { 1 } else { PAGES_MAX };
        match db.pragma_update(None, "max_page_count", pages) {
            Ok(()) => self.told = Some(full),
            // Told again before the next write.
            Err(error) => tracing::warn!(%error, "bound of the file's size"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use clockwork::{DrillClock, Timestamp};

    use super::*;
    use crate::env::NullObserver;
    use crate::order::Order;
    use crate::store::sqlite::{Options, SqliteStore};
    use crate::store::{Error, Store};

    fn order(id: u32) -> Order {
        let text = format!(
            r#"{{"id":"ORD-{id}","customer":{{"name":"홍길동","phone":"01012345678"}},
                "address":{{"postcode":"06236","line1":"서울 강남구 테헤란로 152"}},
                "items":[{{"sku":"S","name":"n","quantity":1,"unit_price":1}}]}}"#
        );
        Order::from_json(text.as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn on_a_full_disk_nothing_is_half_written_and_with_room_again_all_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let full = Arc::new(AtomicBool::new(false));
        let clock = Arc::new(DrillClock::from_spec(None));
        let mut options = Options::new(clock, Arc::new(NullObserver));
        let shown = full.clone();
        options.disk_full = Some(Arc::new(move || shown.load(Ordering::Acquire)));
        let store = SqliteStore::open(&folder.path().join("orders.db"), options).unwrap();
        let ingest = |id: u32| {
            let store = &store;
            async move { store.ingest(&order(id), None, Timestamp::EPOCH).await }
        };
        ingest(1).await.unwrap();
        full.store(true, Ordering::Release);
        let mut kept = 1;
        let refused = loop {
            match ingest(kept + 1).await {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
            assert!(kept < 1_000, "the file grows all the same");
        };
        assert!(matches!(refused, Error::Full { op: "ingest" }), "{refused:?}");
        assert!(refused.retryable());
        let rows = store.rows().await.unwrap();
        assert_eq!(
            (rows.orders.len(), rows.orders.iter().map(|order| order.parcels.len()).sum::<usize>()),
            (kept as usize, kept as usize)
        );
        full.store(false, Ordering::Release);
        ingest(kept + 1).await.unwrap();
        assert_eq!(store.rows().await.unwrap().orders.len(), kept as usize + 1);
    }
}
