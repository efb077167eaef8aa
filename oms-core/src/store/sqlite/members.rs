//! A member is signed up, once, with all that belongs to it.

use clockwork::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Result;
use super::records;
use crate::member::{Member, WELCOME};
use crate::store::aggregate::Right;
use crate::store::{MemberPart, Recipient, SignedUp};

/// Keeps `member` whole, with its welcome message due now.
pub(super) fn sign_up(db: &Connection, member: &Member, now: Timestamp) -> Result<SignedUp> {
    let standing = standing(db, member)?;
    if standing == SignedUp::Created {
        for part in MemberPart::ALL {
            keep(db, member, part, now)?;
        }
    }
    Ok(standing)
}

/// What a sign-up of `member` would come to.
fn standing(db: &Connection, member: &Member) -> Result<SignedUp> {
    let sql = "SELECT id, content_hash FROM members WHERE id = ?1 OR phone = ?2 ORDER BY id = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![member.id, member.phone])?;
    let mut standing = SignedUp::Created;
    while let Some(row) = rows.next()? {
        let same = row.get::<_, String>(0)? == member.id
            && row.get::<_, String>(1)? == member.content_hash();
        if !same {
            return Ok(SignedUp::Taken);
        }
        standing = SignedUp::Same;
    }
    Ok(standing)
}

/// Whether parts of `member` may be written; nothing is written.
pub(super) fn member_right(db: &Connection, member: &Member) -> Result<Right> {
    Ok(match standing(db, member)? {
        SignedUp::Created | SignedUp::Same => Right::Held,
        SignedUp::Taken => Right::Lost,
    })
}

/// Writes one part of `member`; what is written already stays as it is.
pub(super) fn keep(
    db: &Connection,
    member: &Member,
    part: MemberPart,
    now: Timestamp,
) -> Result<()> {
    match part {
        MemberPart::Member => {
            let sql = "INSERT INTO members (id, name, phone, content_hash, created_at)
                       VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO NOTHING";
            let Member { id, name, phone, .. } = member;
            let row = params![id, name, phone, member.content_hash(), now.micros()];
            db.prepare_cached(sql)?.execute(row)?;
        }
        MemberPart::Profile => {
            let sql = "INSERT INTO member_profiles (member_id, age) VALUES (?1, ?2)
                       ON CONFLICT (member_id) DO NOTHING";
            db.prepare_cached(sql)?.execute(params![member.id, member.age])?;
        }
        MemberPart::Consents => {
            let sql = "INSERT INTO member_consents (member_id, consent, given, asked_at)
                       VALUES (?1, ?2, ?3, ?4) ON CONFLICT (member_id, consent) DO NOTHING";
            for (consent, given) in member.consents.named() {
                let row = params![member.id, consent, given, now.micros()];
                db.prepare_cached(sql)?.execute(row)?;
            }
        }
        MemberPart::Welcome => {
            let mut outbox = records::of_member(db, &member.welcome().order)?;
            outbox.bear_notice(WELCOME.to_owned(), now);
            records::save(db, &outbox, now)?;
        }
    }
    Ok(())
}

/// Whom a notification of the member `id` goes to, if there is such a member.
pub(super) fn recipient(db: &Connection, id: &str) -> Result<Option<Recipient>> {
    let sql = "SELECT name, phone FROM members WHERE id = ?1";
    let recipient =
        |row: &rusqlite::Row<'_>| Ok(Recipient { name: row.get(0)?, phone: row.get(1)? });
    Ok(db.prepare_cached(sql)?.query_row([id], recipient).optional()?)
}
