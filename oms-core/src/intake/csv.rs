//! Orders as CSV: one row an item, the rows of an order behind each other.

use std::collections::BTreeMap;

use csv::{ByteRecord, ReaderBuilder, StringRecord};

use super::file::{Entry, LineError, LineProblem, no_utf8};
use crate::order::{self, Address, Customer, Draft, Item, Order};

/// A column: its name, what the order calls it (of an item: within the item), what it belongs to.
struct Column {
    name: &'static str,
    field: &'static str,
    of: Of,
    required: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Order,
    Item,
}

const fn column(name: &'static str, field: &'static str, of: Of, required: bool) -> Column {
    Column { name, field, of, required }
}

const COLUMNS: [Column; 13] = [
    column("order_id", "id", Of::Order, true),
    column("name", "customer.name", Of::Order, true),
    column("phone", "customer.phone", Of::Order, true),
    column("postcode", "address.postcode", Of::Order, true),
    column("line1", "address.line1", Of::Order, true),
    column("line2", "address.line2", Of::Order, false),
    column("memo", "memo", Of::Order, false),
    column("seller", "seller", Of::Order, false),
    column("sku", "sku", Of::Item, true),
    column("item_name", "name", Of::Item, true),
    column("quantity", "quantity", Of::Item, true),
    column("unit_price", "unit_price", Of::Item, true),
    column("parcel", "parcel", Of::Item, false),
];

/// Where each column stands in a row.
struct Header {
    places: BTreeMap<&'static str, usize>,
    width: usize,
}

struct Row {
    line: u64,
    cells: Result<StringRecord, String>,
}

/// The orders of `text`.
///
/// # Errors
/// What is wrong with the first row.
pub(super) fn entries(text: &[u8]) -> Result<Vec<Entry>, String> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut first = ByteRecord::new();
    // Reading memory fails on nothing; a row of any shape is a row, since `flexible` is set.
    if !reader.read_byte_record(&mut first).map_err(|error| error.to_string())? {
        return Err("is missing; it names the columns".to_owned());
    }
    let header = Header::read(&first)?;
    let mut lines = Lines { text, byte: 0, line: 1 };
    let mut groups: Vec<(Option<String>, Vec<Row>)> = Vec::new();
    for record in reader.into_byte_records() {
        let record = record.map_err(|error| error.to_string())?;
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            continue;
        }
        let id = header.id_of(&record);
        let line = lines.line_of(&record);
        let row = Row { line, cells: header.cells(record) };
        match groups.last_mut() {
            Some((last, rows)) if last.is_some() && *last == id => rows.push(row),
            _ => groups.push((id, vec![row])),
        }
    }
    let torn = torn(&groups);
    Ok(groups.into_iter().map(|(id, rows)| header.entry(id, &rows, &torn)).collect())
}

/// Counts lines. The reader's own count is that of the row before when lines end on CR LF or are
/// empty.
struct Lines<'t> {
    text: &'t [u8],
    byte: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line where `record` begins. Asked in the sequence of the records.
    fn line_of(&mut self, record: &ByteRecord) -> u64 {
        let begin = record.position().map_or(0, csv::Position::byte);
        let begin = usize::try_from(begin).unwrap_or(usize::MAX);
        while let Some(byte) = self.text.get(self.byte) {
            if self.byte >= begin && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            self.line += u64::from(*byte == b'\n');
            self.byte += 1;
        }
        self.line
    }
}

/// The orders whose rows do not follow each other, with the lines where their pieces begin.
fn torn(groups: &[(Option<String>, Vec<Row>)]) -> BTreeMap<String, Vec<u64>> {
    let mut begins: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (id, rows) in groups {
        if let (Some(id), Some(first)) = (id, rows.first()) {
            begins.entry(id.clone()).or_default().push(first.line);
        }
    }
    begins.retain(|_, lines| lines.len() > 1);
    begins
}

impl Header {
    fn read(first: &ByteRecord) -> Result<Header, String> {
        let first = StringRecord::from_byte_record(first.clone())
            .map_err(|_| "is not UTF-8; save the file as UTF-8".to_owned())?;
        let mut places = BTreeMap::new();
        for (place, cell) in first.iter().enumerate() {
            let cell = cell.trim();
            let Some(column) = COLUMNS.iter().find(|column| column.name == cell) else {
                return Err(unknown_column(cell, place + 1));
            };
            if places.insert(column.name, place).is_some() {
                return Err(format!("names `{cell}` twice"));
            }
        }
        match COLUMNS.iter().find(|column| column.required && !places.contains_key(column.name)) {
            Some(missing) => Err(format!("lacks the column `{}`", missing.name)),
            None => Ok(Header { places, width: first.len() }),
        }
    }

    /// The order that a row belongs to; `None` when that cannot be read.
    fn id_of(&self, record: &ByteRecord) -> Option<String> {
        let cell = record.get(*self.places.get("order_id")?)?;
        let id = std::str::from_utf8(cell).ok()?.trim();
        (!id.is_empty()).then(|| id.to_owned())
    }

    fn cells(&self, record: ByteRecord) -> Result<StringRecord, String> {
        if record.len() != self.width {
            return Err(format!("has {} cells, not {}", record.len(), self.width));
        }
        StringRecord::from_byte_record(record).map_err(|error| {
            let wrong = error.utf8_error();
            let cell = self.places.iter().find(|(_, place)| **place == wrong.field());
            let name = cell.map_or("?", |(name, _)| name);
            format!("{name} {}", no_utf8(wrong.valid_up_to() + 1))
        })
    }

    /// A cell's text, trimmed; empty when the file has no such column.
    fn cell<'r>(&self, record: &'r StringRecord, name: &str) -> &'r str {
        let place = self.places.get(name);
        place.and_then(|place| record.get(*place)).unwrap_or_default().trim()
    }

    fn entry(&self, id: Option<String>, rows: &[Row], torn: &BTreeMap<String, Vec<u64>>) -> Entry {
        let line = rows.first().map_or(0, |row| row.line);
        let mut problems = Vec::new();
        let broken = |row: &Row| {
            let why = row.cells.as_ref().err()?.clone();
            Some(LineProblem { line: row.line, field: String::new(), why })
        };
        problems.extend(rows.iter().filter_map(broken));
        if let Some(pieces) = id.as_ref().and_then(|id| torn.get(id)) {
            let lines: Vec<String> = pieces.iter().map(u64::to_string).collect();
            let why = format!(
                "has rows that do not follow each other: they begin at lines {}",
                lines.join(", ")
            );
            problems.push(LineProblem { line, field: "order_id".to_owned(), why });
        }
        let rows: Vec<(u64, &StringRecord)> =
            rows.iter().filter_map(|row| Some((row.line, row.cells.as_ref().ok()?))).collect();
        let order = self.order(&rows, &mut problems);
        let order = order.filter(|_| problems.is_empty()).ok_or_else(|| {
            problems.sort_by_key(|problem| problem.line);
            LineError { line, order: id.filter(|id| order::is_id(id)), problems }
        });
        Entry { line, order }
    }

    /// The order of rows that can be read; what is wrong goes to `problems`.
    fn order(
        &self,
        rows: &[(u64, &StringRecord)],
        problems: &mut Vec<LineProblem>,
    ) -> Option<Order> {
        let (first_line, first) = *rows.first()?;
        for (line, row) in &rows[1..] {
            for column in COLUMNS.iter().filter(|column| column.of == Of::Order) {
                if self.cell(row, column.name) != self.cell(first, column.name) {
                    let why = format!("differs from line {first_line} of the same order");
                    let field = column.name.to_owned();
                    problems.push(LineProblem { line: *line, field, why });
                }
            }
        }
        let items = rows.iter().map(|(line, row)| self.item(*line, row, problems)).collect();
        let text = |name: &str| self.cell(first, name).to_owned();
        let draft = Draft {
            id: text("order_id"),
            customer: Customer { name: text("name"), phone: text("phone") },
            address: Address {
                postcode: text("postcode"),
                line1: text("line1"),
                line2: text("line2"),
            },
            items,
            memo: Some(text("memo")),
            seller: Some(text("seller")),
        };
        match Order::try_from(draft) {
            Ok(order) => Some(order),
            Err(order::Error::Invalid(broken)) => {
                for problem in broken {
                    let placed = placed(&problem, rows);
                    // A number that is none was told already; zero stands in for it.
                    let told =
                        |old: &LineProblem| (old.line, &old.field) == (placed.line, &placed.field);
                    if !problems.iter().any(told) {
                        problems.push(placed);
                    }
                }
                None
            }
            Err(order::Error::Malformed { .. }) => None,
        }
    }

    fn item(&self, line: u64, row: &StringRecord, problems: &mut Vec<LineProblem>) -> Item {
        let mut number = |name: &str, absent: u64, max: u64| -> u64 {
            let cell = self.cell(row, name);
            if cell.is_empty() && absent != 0 {
                return absent;
            }
            match cell.parse::<u64>() {
                Ok(number) if number <= max => number,
                _ => {
                    let why = match cell {
                        "" => "must not be empty".to_owned(),
                        _ => "must be a whole number, digits alone".to_owned(),
                    };
                    problems.push(LineProblem { line, field: name.to_owned(), why });
                    0
                }
            }
        };
        let quantity = number("quantity", 0, u64::from(u32::MAX));
        let unit_price = number("unit_price", 0, u64::MAX);
        let parcel = number("parcel", 1, u64::from(u32::MAX));
        Item {
            sku: self.cell(row, "sku").to_owned(),
            name: self.cell(row, "item_name").to_owned(),
            // Both are no more than a u32 holds, see above.
            quantity: u32::try_from(quantity).unwrap_or(u32::MAX),
            unit_price,
            parcel: u32::try_from(parcel).unwrap_or(u32::MAX),
        }
    }
}

/// A broken rule of an order by the file's line and column.
fn placed(problem: &order::Problem, rows: &[(u64, &StringRecord)]) -> LineProblem {
    let item = problem.field.strip_prefix("items[").and_then(|rest| rest.split_once("]."));
    let (of, index, field) = match item {
        Some((index, field)) => (Of::Item, index.parse().unwrap_or(0), field),
        None => (Of::Order, 0, problem.field.as_str()),
    };
    let column = COLUMNS.iter().find(|column| column.of == of && column.field == field);
    LineProblem {
        line: rows.get(index).map_or(0, |(line, _)| *line),
        field: column.map_or(field, |column| column.name).to_owned(),
        why: problem.why.clone(),
    }
}

/// The name is repeated only when it looks like one: without a first row, the first order stands
/// there.
fn unknown_column(cell: &str, place: usize) -> String {
    let names = || COLUMNS.iter().map(|column| column.name);
    let plain = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    if cell.is_empty() || cell.len() > 40 || !cell.bytes().all(plain) {
        let known = names().collect::<Vec<_>>().join(",");
        return format!("names no columns: unknown name in column {place}; known are {known}");
    }
    match crate::config::near_match(cell, names()) {
        Some(near) => format!("has an unknown column `{cell}`; is `{near}` meant?"),
        None => format!("has an unknown column `{cell}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "order_id,name,phone,postcode,line1,line2,memo,sku,item_name,quantity,\
                          unit_price,parcel";

    fn read(rows: &str) -> Vec<Entry> {
        entries(format!("{HEADER}\n{rows}").as_bytes()).unwrap()
    }

    #[track_caller]
    fn told(rows: &str) -> Vec<String> {
        let problems = |entry: Entry| match entry.order {
            Ok(_) => Vec::new(),
            Err(error) => error.problems.iter().map(LineProblem::to_string).collect(),
        };
        read(rows).into_iter().flat_map(problems).collect()
    }

    #[test]
    fn the_rows_of_an_order_become_its_items() {
        let entries = read(
            "A-1,홍길동,010-1234-5678,06236,\"서울 강남구, 1\",101호,,S-1,상품,1,100,\r\n\
             A-1,홍길동,010-1234-5678,06236,\"서울 강남구, 1\",101호,,S-2,상품,2,200,2\r\n\
             \r\n,,,,,,,,,,,\r\n\
             A-2,김철수,02-123-4567,04524,서울 중구,,부재 시 경비실,S-1,상품,3,0,1\r\n",
        );
        assert_eq!(entries.len(), 2);
        let first = entries[0].order.as_ref().unwrap();
        assert_eq!((first.items.len(), first.parcels(), first.items[0].parcel), (2, 2, 1));
        assert_eq!(first.address.line1, "서울 강남구, 1");
        assert_eq!(
            (entries[1].line, &entries[1].order.as_ref().unwrap().memo),
            (6, &Some("부재 시 경비실".to_owned()))
        );
    }

    #[test]
    fn every_problem_is_told_by_its_line_and_column() {
        let found = told(
            "A-1,홍길동,1588-1234,06236,서울,,,S-1,상품,1,100,1\n\
             A-1,홍길순,1588-1234,06236,서울,,,S-2,,둘,100,1\n\
             A-2,홍길동,01012345678,06236,서울,,,S-1,상품,,100,3\n\
             A-3,홍길동,01012345678,06236,서울,,,S-1,상품,1,100\n",
        );
        assert_eq!(
            found,
            [
                "line 2: phone must be a Korean phone number, not ****-****",
                "line 3: name differs from line 2 of the same order",
                "line 3: quantity must be a whole number, digits alone",
                "line 3: item_name must not be empty",
                "line 4: quantity must not be empty",
                "line 4: parcel must leave no gap: parcel 3 without a parcel 1",
                "line 5: has 11 cells, not 12",
            ]
        );
    }

    #[test]
    fn an_order_whose_rows_are_torn_apart_is_refused_whole() {
        let row = |id: &str| format!("{id},홍길동,01012345678,06236,서울,,,S,상품,1,100,1\n");
        let rows = [row("A-1"), row("A-2"), row("A-1")].concat();
        let entries = read(&rows);
        assert!(entries[0].order.is_err() && entries[2].order.is_err());
        assert!(entries[1].order.is_ok());
        assert!(told(&rows)[0].contains("begin at lines 2, 4"), "{:?}", told(&rows));
    }

    #[test]
    fn bad_utf8_is_told_by_line_and_column_and_spoils_only_its_order() {
        let mut text = format!("{HEADER}\nA-1,").into_bytes();
        text.extend(b"\xb1\xe8");
        text.extend(",01012345678,06236,서울,,,S,상품,1,100,1\n".bytes());
        text.extend("A-2,홍길동,01012345678,06236,서울,,,S,상품,1,100,1\n".bytes());
        let entries = entries(&text).unwrap();
        let error = entries[0].order.as_ref().unwrap_err();
        assert!(error.to_string().starts_with("line 2: name is not UTF-8"), "{error}");
        assert_eq!(error.order.as_deref(), Some("A-1"));
        assert!(entries[1].order.is_ok());
    }

    #[test]
    fn a_wrong_first_row_is_refused_with_a_near_match() {
        let refused = |first: &str| entries(first.as_bytes()).unwrap_err();
        assert!(refused("").contains("is missing"));
        assert!(refused("order_id,naem\n").contains("`naem`; is `name` meant?"));
        let headless = refused("A-1,홍길동,01012345678,06236,서울,,,S,상품,1,100,1\n");
        assert!(headless.contains("in column 1") && !headless.contains("A-1"), "{headless}");
        assert!(refused("order_id,name,name\n").contains("`name` twice"));
        assert!(refused("order_id,name\n").contains("lacks the column `phone`"));
    }

    #[test]
    fn columns_may_stand_in_any_order_and_optional_ones_may_be_absent() {
        let text = "sku,order_id,name,phone,postcode,line1,item_name,unit_price,quantity\n\
                    S,A-1,홍길동,01012345678,06236,서울,상품,100,3\n";
        let entries = entries(text.as_bytes()).unwrap();
        assert_eq!(entries[0].order.as_ref().unwrap().items[0].quantity, 3);
    }
}
