//! A request's body, read without copying what needs no copy.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The body of every request.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'a: 'de"))]
pub struct Envelope<'a> {
    /// The fields of the call.
    #[serde(rename = "DATA", borrow)]
    pub data: Data<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is no JSON object with a `DATA` object of strings (and `ARRAY`, a list of such).
    pub fn parse(body: &'a [u8]) -> Result<Data<'a>, serde_json::Error> {
        faults::json::read::<Envelope<'a>>(body).map(|envelope| envelope.data)
    }
}

/// Name and value.
pub type Field<'a> = (Cow<'a, str>, Cow<'a, str>);

/// `DATA`: fields, and where a call has one, its `ARRAY`.
#[derive(Debug, Default)]
pub struct Data<'a> {
    /// In the order of arrival.
    pub fields: Vec<Field<'a>>,
    /// `ARRAY`: rows of fields.
    pub rows: Vec<Row<'a>>,
}

/// One row of `ARRAY`.
#[derive(Debug, Default)]
pub struct Row<'a> {
    /// In the order of arrival.
    pub fields: Vec<Field<'a>>,
}

impl Data<'_> {
    /// The value of `name`; empty when it is absent: Oracle knows no difference.
    pub fn text(&self, name: &str) -> &str {
        find(&self.fields, name)
    }
}

impl Row<'_> {
    /// The value of `name`; empty when it is absent.
    pub fn text(&self, name: &str) -> &str {
        find(&self.fields, name)
    }
}

fn find<'f>(fields: &'f [Field<'_>], name: &str) -> &'f str {
    fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
}

/// A string; `null` counts as the empty one, as Oracle has it. A bare number is refused.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string (every value travels as a string)")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed("")))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// So many rows and fields are read; what comes after is not kept. Real requests have under 100.
const FIELDS_MAX: usize = 200;
const ROWS_MAX: usize = 1_000;

impl<'de> Deserialize<'de> for Row<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor;

        impl<'de> Visitor<'de> for RowVisitor {
            type Value = Row<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    if fields.len() < FIELDS_MAX {
                        fields.push((name, value));
                    }
                }
                Ok(Row { fields })
            }
        }

        deserializer.deserialize_map(RowVisitor)
    }
}

struct Rows<'a>(Vec<Row<'a>>);

impl<'de> Deserialize<'de> for Rows<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowsVisitor;

        impl<'de> Visitor<'de> for RowsVisitor {
            type Value = Rows<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Rows<'de>, A::Error> {
                let mut rows = Vec::new();
                while rows.len() < ROWS_MAX {
                    let Some(row) = seq.next_element()? else { return Ok(Rows(rows)) };
                    rows.push(row);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Rows(rows))
            }
        }

        deserializer.deserialize_seq(RowsVisitor)
    }
}

impl<'de> Deserialize<'de> for Data<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DataVisitor;

        impl<'de> Visitor<'de> for DataVisitor {
            type Value = Data<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings, with an ARRAY of such objects")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data<'de>, A::Error> {
                let mut data = Data { fields: Vec::with_capacity(48), rows: Vec::new() };
                while let Some(Text(name)) = map.next_key()? {
                    if name == "ARRAY" {
                        data.rows = map.next_value::<Rows<'de>>()?.0;
                        continue;
                    }
                    let Text(value) = map.next_value()?;
                    if data.fields.len() < FIELDS_MAX {
                        data.fields.push((name, value));
                    }
                }
                Ok(data)
            }
        }

        deserializer.deserialize_map(DataVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_rows_escapes_and_nulls_are_read() {
        let body = r#"{"DATA":{"CUST_USE_NO":"ORD-1","RCVR_NM":"\ud64d길동","FRT":null,
            "ARRAY":[{"MPCK_SEQ":"1","GDS_NM":"상품"}]},"EXTRA":1}"#;
        let data = Envelope::parse(body.as_bytes()).unwrap();
        assert_eq!(data.text("CUST_USE_NO"), "ORD-1");
        assert!(matches!(&data.fields[0].1, Cow::Borrowed("ORD-1")), "read without a copy");
        assert_eq!(data.text("RCVR_NM"), "홍길동");
        assert_eq!((data.text("FRT"), data.text("ABSENT")), ("", ""));
        assert_eq!(data.rows[0].text("GDS_NM"), "상품");
    }

    #[test]
    fn bodies_of_another_form_are_refused() {
        for body in ["", "[]", "{}", r#"{"DATA":[]}"#, r#"{"DATA":{"BOX_QTY":1}}"#, r#"{"DATA":{}"#]
        {
            assert!(Envelope::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn what_is_kept_of_a_body_is_bounded() {
        let fields: Vec<_> = (0..500).map(|n| format!(r#""F{n}":"""#)).collect();
        let rows = vec!["{}"; 2_000].join(",");
        let body = format!(r#"{{"DATA":{{{},"ARRAY":[{rows}]}}}}"#, fields.join(","));
        let data = Envelope::parse(body.as_bytes()).unwrap();
        assert_eq!((data.fields.len(), data.rows.len()), (FIELDS_MAX, ROWS_MAX));
    }
}
