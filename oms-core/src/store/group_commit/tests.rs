use super::*;
use crate::env::NullObserver;
use crate::store::sqlite::Room;
use crate::store::sqlite::failure::Failure;
use clockwork::{DrillClock, Timestamp};
use rusqlite::Connection;
use std::sync::atomic::{AtomicUsize, Ordering};

fn watch() -> Watch {
    let clock = Arc::new(DrillClock::starting_at(Timestamp::EPOCH));
    Watch { clock, observer: Arc::new(NullObserver) }
}

fn database() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE notes (text TEXT PRIMARY KEY);
         CREATE TABLE parents (id INTEGER PRIMARY KEY);
         CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED);",
    )
    .unwrap();
    db
}

fn note(text: &'static str) -> (Job, Reply<usize>) {
    Job::new(
        "note",
        move |db: &Connection| Ok(db.execute("INSERT INTO notes VALUES (?1)", [text])?),
    )
}

fn notes(db: &Connection) -> Vec<String> {
    let mut statement = db.prepare("SELECT text FROM notes ORDER BY text").unwrap();
    let notes = statement.query_map([], |row| row.get(0)).unwrap();
    notes.collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn a_job_that_fails_undoes_only_itself() {
    let db = database();
    let (first, mut first_answer) = note("first");
    let (failing, mut failing_answer) = Job::new("fail", |db: &Connection| {
        db.execute("INSERT INTO notes VALUES ('half done')", [])?;
        Err::<(), _>(Failure::corrupt("notes", "no"))
    });
    let (last, mut last_answer) = note("last");
    run(&db, vec![first, failing, last], Access::Write, &watch());
    assert_eq!(first_answer.try_recv().unwrap().unwrap(), 1);
    let failed = failing_answer.try_recv().unwrap();
    assert!(matches!(failed, Err(Error::Corrupt { .. })), "{failed:?}");
    assert_eq!(last_answer.try_recv().unwrap().unwrap(), 1);
    assert_eq!(notes(&db), ["first", "last"]);
}

#[test]
fn a_batch_is_made_again_only_when_a_job_has_written_and_failed() {
    let fails = |db: &Connection, writes: bool| {
        if writes {
            db.execute("INSERT INTO notes VALUES ('half done')", [])?;
        }
        Err::<(), _>(Failure::corrupt("notes", "no"))
    };
    for (writes, times) in [(false, 1), (true, 2)] {
        let db = database();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let (first, mut first_answer) = Job::new("count", move |db: &Connection| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(db.execute("INSERT INTO notes VALUES ('first')", [])?)
        });
        let (failing, mut failing_answer) = Job::new("fail", move |db| fails(db, writes));
        let (last, mut last_answer) = note("last");
        run(&db, vec![first, failing, last], Access::Write, &watch());
        assert_eq!(runs.load(Ordering::Relaxed), times);
        assert!(
            first_answer.try_recv().unwrap().is_ok() && last_answer.try_recv().unwrap().is_ok()
        );
        assert!(matches!(failing_answer.try_recv().unwrap(), Err(Error::Corrupt { .. })));
        assert_eq!(notes(&db), ["first", "last"]);
    }
}

#[test]
fn a_job_alone_that_fails_undoes_itself() {
    let db = database();
    let (failing, mut answer) = Job::new("fail", |db: &Connection| {
        db.execute("INSERT INTO notes VALUES ('half done')", [])?;
        db.execute("INSERT INTO notes VALUES ('half done')", []).map_err(Failure::from)
    });
    run(&db, vec![failing], Access::Write, &watch());
    let failed = answer.try_recv().unwrap();
    assert!(matches!(failed, Err(Error::Engine { op: "fail", .. })), "{failed:?}");
    assert!(notes(&db).is_empty() && db.is_autocommit());
}

#[test]
fn a_commit_that_is_refused_fails_every_job_of_its_batch() {
    let db = database();
    let (innocent, mut innocent_answer) = note("innocent");
    let (orphan, mut orphan_answer) =
        Job::new(
            "orphan",
            |db: &Connection| Ok(db.execute("INSERT INTO children VALUES (7)", [])?),
        );
    run(&db, vec![innocent, orphan], Access::Write, &watch());
    for failed in [innocent_answer.try_recv().unwrap(), orphan_answer.try_recv().unwrap()] {
        assert!(matches!(failed, Err(Error::Engine { .. })), "{failed:?}");
    }
    assert!(notes(&db).is_empty() && db.is_autocommit());
}

#[test]
fn a_transaction_that_the_engine_gave_up_takes_every_job_with_it() {
    let db = database();
    let (first, mut first_answer) = note("first");
    // What SQLite does by itself when the disk is full.
    let (full, mut full_answer) = Job::new("full", |db: &Connection| {
        db.execute_batch("ROLLBACK")?;
        Ok(())
    });
    let (last, mut last_answer) = note("last");
    run(&db, vec![first, full, last], Access::Write, &watch());
    assert!(first_answer.try_recv().unwrap().is_err());
    assert!(full_answer.try_recv().unwrap().is_err());
    assert!(last_answer.try_recv().unwrap().is_err());
    assert!(notes(&db).is_empty(), "nothing is written outside of the transaction");
}

#[test]
fn a_batch_takes_so_many_and_leaves_the_rest_in_order() {
    let queue = Queue::default();
    let answers: Vec<_> = (0..BATCH_MAX + 1)
        .map(|number| {
            let (job, answer) = Job::new("count", move |_: &Connection| Ok(number));
            queue.push(job);
            answer
        })
        .collect();
    let db = database();
    run(&db, queue.take(), Access::Write, &watch());
    let done = answers.into_iter().filter_map(|mut answer| answer.try_recv().ok());
    assert_eq!(done.map(Result::unwrap).collect::<Vec<_>>(), (0..BATCH_MAX).collect::<Vec<_>>());
    assert_eq!(queue.take().len(), 1);
}

#[tokio::test]
async fn a_worker_survives_a_job_that_panics() {
    let room = Room::new(None);
    let worker = Worker::start("test", database(), Access::Write, watch(), room).unwrap();
    let (job, answer) =
        Job::new("panic", |_: &Connection| -> failure::Result<()> { panic!("a bug") });
    let answer = worker.execute("panic", job, answer).await;
    assert!(matches!(answer, Err(Error::CommitUnknown { op: "panic" })), "{answer:?}");
    let (job, answer) = note("after");
    assert_eq!(worker.execute("note", job, answer).await.unwrap(), 1);
}

#[test]
fn what_a_glance_answers_is_never_begun_and_the_rest_of_the_batch_is() {
    let db = database();
    let (needless, mut needless_answer) = Job::unless(
        "look",
        |_: &Connection| Ok(Some(0)),
        |_: &Connection| -> failure::Result<i32> { panic!("begun all the same") },
    );
    let (needed, mut needed_answer) =
        Job::unless("look", |_: &Connection| Ok(None), |_: &Connection| Ok(1));
    let (last, mut last_answer) = note("last");
    run(&db, vec![needless, needed, last], Access::Write, &watch());
    assert_eq!(needless_answer.try_recv().unwrap().unwrap(), 0);
    assert_eq!(needed_answer.try_recv().unwrap().unwrap(), 1);
    assert_eq!(last_answer.try_recv().unwrap().unwrap(), 1);
    assert_eq!(notes(&db), ["last"]);
}
