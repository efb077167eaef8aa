//! A member is signed up, once, with all that belongs to it.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use sqlx::PgConnection;

use super::failure::Result;
use super::records;
use super::row::Columns;
use crate::member::{Member, WELCOME};
use crate::store::aggregate::Right;
use crate::store::{MemberPart, NoticeKey, Recipient, SignedUp};

/// Keeps `member` whole, with its welcome message due now.
pub(super) async fn sign_up(
    db: &mut PgConnection,
    member: &Member,
    now: Timestamp,
) -> Result<SignedUp> {
    claim_identity(db, member).await?;
    let standing = standing(db, member).await?;
    if standing == SignedUp::Created {
        for part in MemberPart::ALL {
            keep(db, member, part, now).await?;
        }
    }
    Ok(standing)
}

/// Of two sign-ups with the same id or phone number at once, the second waits for the first: there
/// is no row yet that it could wait for.
async fn claim_identity(db: &mut PgConnection, member: &Member) -> Result<()> {
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended(key, 0))
               FROM unnest($1::text[]) AS key ORDER BY hashtextextended(key, 0)";
    let keys = [format!("member {}", member.id), format!("phone {}", member.phone)];
    sqlx::query(sql).bind(&keys[..]).execute(db).await?;
    Ok(())
}

/// What a sign-up of `member` would come to.
async fn standing(db: &mut PgConnection, member: &Member) -> Result<SignedUp> {
    let sql = "SELECT id, content_hash FROM members WHERE id = $1 OR phone = $2";
    let mut standing = SignedUp::Created;
    for row in sqlx::query(sql).bind(&member.id).bind(&member.phone).fetch_all(db).await? {
        let row = Columns::new(&row, "members");
        if row.text(0)? != member.id || row.text(1)? != member.content_hash() {
            return Ok(SignedUp::Taken);
        }
        standing = SignedUp::Same;
    }
    Ok(standing)
}

/// Whether parts of `member` may be written; nothing is written.
pub(super) async fn member_right(db: &mut PgConnection, member: &Member) -> Result<Right> {
    claim_identity(db, member).await?;
    Ok(match standing(db, member).await? {
        SignedUp::Created | SignedUp::Same => Right::Held,
        SignedUp::Taken => Right::Lost,
    })
}

/// Writes one part of `member`; what is written already stays as it is.
pub(super) async fn keep(
    db: &mut PgConnection,
    member: &Member,
    part: MemberPart,
    now: Timestamp,
) -> Result<()> {
    match part {
        MemberPart::Member => {
            let sql = "INSERT INTO members (id, name, phone, content_hash, created_at)
                       VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";
            let row = sqlx::query(sql).bind(&member.id).bind(&member.name).bind(&member.phone);
            row.bind(member.content_hash()).bind(now.micros()).execute(db).await?;
        }
        MemberPart::Profile => {
            let sql = "INSERT INTO member_profiles (member_id, age) VALUES ($1, $2)
                       ON CONFLICT (member_id) DO NOTHING";
            sqlx::query(sql).bind(&member.id).bind(i64::from(member.age)).execute(db).await?;
        }
        MemberPart::Consents => {
            let sql = "INSERT INTO member_consents (member_id, consent, given, asked_at)
                       VALUES ($1, $2, $3, $4) ON CONFLICT (member_id, consent) DO NOTHING";
            for (consent, given) in member.consents.named() {
                let row = sqlx::query(sql).bind(&member.id).bind(consent).bind(given);
                row.bind(now.micros()).execute(&mut *db).await?;
            }
        }
        MemberPart::Welcome => {
            let mut outbox = records::of_member(db, &member.welcome().order).await?;
            outbox.bear_notice(WELCOME.to_owned(), now);
            records::save(db, &outbox, now).await?;
        }
    }
    Ok(())
}

/// Whom notifications of these members go to, by the keys' owners.
pub(super) async fn recipients(
    db: &mut PgConnection,
    keys: &[NoticeKey],
) -> Result<BTreeMap<String, Recipient>> {
    let ids: Vec<&str> = keys.iter().filter_map(NoticeKey::member).collect();
    let mut recipients = BTreeMap::new();
    if ids.is_empty() {
        return Ok(recipients);
    }
    let sql = "SELECT id, name, phone FROM members WHERE id = ANY($1)";
    for row in sqlx::query(sql).bind(ids).fetch_all(db).await? {
        let row = Columns::new(&row, "members");
        let owner = NoticeKey::of_member(row.get(0)?, WELCOME).order;
        recipients.insert(owner, Recipient { name: row.text(1)?, phone: row.text(2)? });
    }
    Ok(recipients)
}
