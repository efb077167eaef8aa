//! The columns of a booking: which must be filled, and how much they hold.
//!
//! A refused booking shows the carrier's database through: `ORA-01400` for an empty required
//! column (Oracle takes an empty string for NULL), `ORA-12899` for a value that is too long,
//! `ORA-01722` for a number that is none, `ORA-01861` for a date that is none.
//!
//! Lengths of keys, codes, remarks and invoice numbers are the guide's, as its readers quote them.
//! Those of names, telephone parts, addresses and goods are not public: assumed, see [`COLUMNS`].

use clockwork::Timestamp;

use crate::wire::request::{Data, Field, Row};

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The field's name on the wire.
    pub name: &'static str,
    /// How many bytes it holds, see [`stored_bytes`].
    pub bytes_max: usize,
    /// Whether it must be filled.
    pub required: bool,
    /// What it holds.
    pub kind: Kind,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Digits alone.
    Number,
    /// `YYYYMMDD`.
    Date,
}

/// What keeps a row out of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A required column is empty.
    #[error("ORA-01400: cannot insert NULL into (\"DX\".\"{table}\".\"{column}\")")]
    Empty {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A value does not fit.
    #[error(
        "ORA-12899: value too large for column \"DX\".\"{table}\".\"{column}\" \
         (actual: {actual}, maximum: {maximum})"
    )]
    TooLong {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The value's bytes.
        actual: usize,
        /// The column's bytes.
        maximum: usize,
    },
    /// Not digits alone.
    #[error("ORA-01722: invalid number")]
    NoNumber,
    /// No day of the calendar.
    #[error("ORA-01861: literal does not match format string")]
    NoDate,
}

/// The bytes that `text` takes in the carrier's database: one for ASCII, two for anything else.
///
/// So it is in EUC-KR, the encoding that the lengths in Korean guides are counted in.
pub fn stored_bytes(text: &str) -> usize {
    text.chars().map(|char| if char.is_ascii() { 1 } else { 2 }).sum()
}

const fn optional(name: &'static str, bytes_max: usize) -> Column {
    Column { name, bytes_max, required: false, kind: Kind::Text }
}

const fn required(name: &'static str, bytes_max: usize) -> Column {
    Column { required: true, ..optional(name, bytes_max) }
}

const fn number(column: Column) -> Column {
    Column { kind: Kind::Number, ..column }
}

const fn date(column: Column) -> Column {
    Column { kind: Kind::Date, ..column }
}

/// The table of bookings, in the order of the guide. What else a request carries is ignored.
pub const COLUMNS: &[Column] = &[
    required("CUST_ID", 20),
    date(required("RCPT_YMD", 9)),
    required("CUST_USE_NO", 50),
    required("RCPT_DV", 2),
    required("WORK_DV_CD", 2),
    required("REQ_DV_CD", 2),
    required("MPCK_KEY", 100),
    number(required("MPCK_SEQ", 20)),
    required("CAL_DV_CD", 2),
    required("FRT_DV_CD", 2),
    required("CNTR_ITEM_CD", 2),
    required("BOX_TYPE_CD", 2),
    number(required("BOX_QTY", 5)),
    number(optional("FRT", 15)),
    required("CUST_MGMT_DLCM_CD", 20),
    required("DLV_DV", 2),
    required("SENDR_NM", 50),
    required("SENDR_TEL_NO1", 4),
    required("SENDR_TEL_NO2", 4),
    required("SENDR_TEL_NO3", 4),
    optional("SENDR_CELL_NO1", 4),
    optional("SENDR_CELL_NO2", 4),
    optional("SENDR_CELL_NO3", 4),
    optional("SENDR_SAFE_NO1", 4),
    optional("SENDR_SAFE_NO2", 4),
    optional("SENDR_SAFE_NO3", 4),
    required("SENDR_ZIP_NO", 6),
    required("SENDR_ADDR", 100),
    required("SENDR_DETAIL_ADDR", 100),
    required("RCVR_NM", 50),
    required("RCVR_TEL_NO1", 4),
    required("RCVR_TEL_NO2", 4),
    required("RCVR_TEL_NO3", 4),
    optional("RCVR_CELL_NO1", 4),
    optional("RCVR_CELL_NO2", 4),
    optional("RCVR_CELL_NO3", 4),
    optional("RCVR_SAFE_NO1", 4),
    optional("RCVR_SAFE_NO2", 4),
    optional("RCVR_SAFE_NO3", 4),
    required("RCVR_ZIP_NO", 6),
    required("RCVR_ADDR", 100),
    required("RCVR_DETAIL_ADDR", 100),
    optional("ORDRR_NM", 50),
    optional("ORDRR_TEL_NO1", 4),
    optional("ORDRR_TEL_NO2", 4),
    optional("ORDRR_TEL_NO3", 4),
    optional("ORDRR_CELL_NO1", 4),
    optional("ORDRR_CELL_NO2", 4),
    optional("ORDRR_CELL_NO3", 4),
    optional("ORDRR_SAFE_NO1", 4),
    optional("ORDRR_SAFE_NO2", 4),
    optional("ORDRR_SAFE_NO3", 4),
    optional("ORDRR_ZIP_NO", 6),
    optional("ORDRR_ADDR", 100),
    optional("ORDRR_DETAIL_ADDR", 100),
    optional("INVC_NO", 20),
    optional("ORI_INVC_NO", 20),
    optional("ORI_ORD_NO", 100),
    optional("COLCT_EXPCT_YMD", 9),
    optional("COLCT_EXPCT_HOUR", 6),
    optional("SHIP_EXPCT_YMD", 9),
    optional("SHIP_EXPCT_HOUR", 6),
    required("PRT_ST", 3),
    number(optional("ARTICLE_AMT", 15)),
    optional("REMARK_1", 1_000),
    optional("REMARK_2", 1_000),
    optional("REMARK_3", 1_000),
    optional("COD_YN", 2),
    optional("ETC_1", 500),
    optional("ETC_2", 500),
    optional("ETC_3", 500),
    optional("ETC_4", 500),
    optional("ETC_5", 500),
    optional("RCPT_SERIAL", 50),
    optional("USER_ID", 20),
];

/// The table of a booking's goods.
pub const GOODS_COLUMNS: &[Column] = &[
    number(required("MPCK_SEQ", 20)),
    optional("GDS_CD", 50),
    required("GDS_NM", 200),
    number(optional("GDS_QTY", 10)),
    optional("UNIT_CD", 50),
    optional("UNIT_NM", 200),
    number(optional("GDS_AMT", 15)),
];

/// Checks a booking and its goods against their tables.
///
/// # Errors
/// The first [`Error`] in the order of the tables; a booking without goods lacks their `MPCK_SEQ`.
pub fn check(data: &Data<'_>) -> Result<(), Error> {
    check_row("RCPT", COLUMNS, &data.fields)?;
    let nothing = [Row::default()];
    let goods = if data.rows.is_empty() { nothing.as_slice() } else { data.rows.as_slice() };
    goods.iter().try_for_each(|row| check_row("RCPT_GDS", GOODS_COLUMNS, &row.fields))
}

/// What `fields` have for each of `columns`; of a name that comes twice the first counts. They come in
/// the order of the guide for the most part, so each is looked for from behind the last on.
fn values<'f>(columns: &[Column], fields: &'f [Field<'_>]) -> Vec<&'f str> {
    let mut values = vec![None; columns.len()];
    let mut next = 0;
    for (name, value) in fields {
        let (before, behind) = columns.split_at(next);
        if let Some(steps) = behind.iter().chain(before).position(|column| column.name == name) {
            next = (next + steps) % columns.len();
            values[next].get_or_insert(&**value);
        }
    }
    values.into_iter().map(Option::unwrap_or_default).collect()
}

/// Checks one row; empty ones first, as the database does.
fn check_row(table: &'static str, columns: &[Column], fields: &[Field<'_>]) -> Result<(), Error> {
    for (column, value) in columns.iter().zip(values(columns, fields)) {
        if value.is_empty() {
            if column.required {
                return Err(Error::Empty { table, column: column.name });
            }
            continue;
        }
        let actual = stored_bytes(value);
        if actual > column.bytes_max {
            let (column, maximum) = (column.name, column.bytes_max);
            return Err(Error::TooLong { table, column, actual, maximum });
        }
        match column.kind {
            Kind::Number if !value.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(Error::NoNumber);
            }
            Kind::Date if !is_date(value) => return Err(Error::NoDate),
            _ => {}
        }
    }
    Ok(())
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && Timestamp::parse_seoul_compact(&format!("{text}000000")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::request::Envelope;

    /// The smallest booking that the table takes.
    const SMALLEST: &str = r#"{"DATA":{"CUST_ID":"30000001","RCPT_YMD":"20261121",
        "CUST_USE_NO":"ORD-1","RCPT_DV":"01","WORK_DV_CD":"01","REQ_DV_CD":"01","MPCK_KEY":"K",
        "MPCK_SEQ":"1","CAL_DV_CD":"01","FRT_DV_CD":"03","CNTR_ITEM_CD":"01","BOX_TYPE_CD":"02",
        "BOX_QTY":"1","CUST_MGMT_DLCM_CD":"30000001","DLV_DV":"01","SENDR_NM":"셀러",
        "SENDR_TEL_NO1":"02","SENDR_TEL_NO2":"123","SENDR_TEL_NO3":"4567","SENDR_ZIP_NO":"04524",
        "SENDR_ADDR":"서울 중구","SENDR_DETAIL_ADDR":"1층","RCVR_NM":"홍길동","RCVR_TEL_NO1":"010",
        "RCVR_TEL_NO2":"1234","RCVR_TEL_NO3":"5678","RCVR_ZIP_NO":"06236",
        "RCVR_ADDR":"서울 강남구","RCVR_DETAIL_ADDR":"101호","PRT_ST":"03",
        "ARRAY":[{"MPCK_SEQ":"1","GDS_NM":"상품"}]}}"#;

    fn checked(body: &str) -> Result<(), Error> {
        check(&Envelope::parse(body.as_bytes()).unwrap())
    }

    fn with(name: &str, value: &str) -> Result<(), Error> {
        let mut body: serde_json::Value = serde_json::from_str(SMALLEST).unwrap();
        body["DATA"][name] = value.into();
        checked(&body.to_string())
    }

    #[test]
    fn every_required_column_is_missed_by_its_name() {
        assert_eq!(checked(SMALLEST), Ok(()));
        let required = COLUMNS.iter().filter(|column| column.required);
        for column in required {
            let missing = Error::Empty { table: "RCPT", column: column.name };
            assert_eq!(with(column.name, ""), Err(missing), "{}", column.name);
        }
        assert_eq!(
            with("RCVR_ADDR", "").unwrap_err().to_string(),
            r#"ORA-01400: cannot insert NULL into ("DX"."RCPT"."RCVR_ADDR")"#,
        );
    }

    #[test]
    fn every_column_holds_its_bytes_and_not_one_more() {
        for column in COLUMNS.iter().filter(|column| column.kind == Kind::Text) {
            assert_eq!(with(column.name, &"x".repeat(column.bytes_max)), Ok(()), "{}", column.name);
            let error = with(column.name, &"x".repeat(column.bytes_max + 1)).unwrap_err();
            assert!(matches!(error, Error::TooLong { .. }), "{}", column.name);
        }
    }

    #[test]
    fn a_korean_letter_counts_as_two_bytes() {
        assert_eq!(stored_bytes("홍길동 a1"), 9);
        assert_eq!(with("RCVR_NM", &"가".repeat(25)), Ok(()));
        assert_eq!(
            with("RCVR_NM", &"가".repeat(26)).unwrap_err().to_string(),
            "ORA-12899: value too large for column \"DX\".\"RCPT\".\"RCVR_NM\" \
             (actual: 52, maximum: 50)",
        );
    }

    #[test]
    fn numbers_and_dates_must_be_such() {
        assert_eq!(with("BOX_QTY", "one"), Err(Error::NoNumber));
        assert_eq!(with("FRT", "-1"), Err(Error::NoNumber));
        for date in ["2026112", "20261131", "2026-1-1", "today"] {
            assert_eq!(with("RCPT_YMD", date), Err(Error::NoDate), "{date}");
        }
    }

    #[test]
    fn goods_are_rows_of_a_table_too() {
        let nameless = SMALLEST.replace("상품", "");
        let empty = |column| Err(Error::Empty { table: "RCPT_GDS", column });
        assert_eq!(checked(&nameless), empty("GDS_NM"));
        let none = SMALLEST.replace(r#"{"MPCK_SEQ":"1","GDS_NM":"상품"}"#, "");
        assert_eq!(checked(&none), empty("MPCK_SEQ"));
    }

    #[test]
    fn of_a_name_that_comes_twice_the_first_counts() {
        let [good, bad] = [r#""BOX_QTY":"1","#, r#""BOX_QTY":"one","#];
        let twice = |first: &str, second: &str| {
            checked(&SMALLEST.replace(good, &format!("{first}{second}")))
        };
        assert_eq!(twice(good, bad), Ok(()));
        assert_eq!(twice(bad, good), Err(Error::NoNumber));
    }

    #[test]
    fn what_is_in_no_table_is_ignored() {
        assert_eq!(with("NO_SUCH_COLUMN", &"x".repeat(5_000)), Ok(()));
    }
}
