//! `oms ingest`: the good lines are kept, the others told.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/oms.rs"]
mod oms;

use std::path::PathBuf;

use oms::{Ran, arg, line, oms};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Shop {
    folder: TempDir,
}

impl Shop {
    fn new() -> Shop {
        Shop { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ingest(&self, name: &str, text: impl AsRef<[u8]>, flags: &[&str]) -> Ran {
        let file = self.path(name);
        std::fs::write(&file, text).unwrap();
        let (file, store) = (arg(&file), self.path("oms.db"));
        oms(&[&["ingest", file, "--store", arg(&store)], flags].concat())
    }

    fn ids(&self) -> Vec<String> {
        let store = self.path("oms.db");
        let listed = oms(&["list", "--store", arg(&store), "--format", "json"]);
        let id = |line: &str| {
            let order: Value = serde_json::from_str(line).unwrap();
            order["id"].as_str().unwrap().to_owned()
        };
        listed.out.lines().map(id).collect()
    }
}

#[test]
fn a_clean_file_is_kept_whole_and_again_it_is_the_same() {
    let shop = Shop::new();
    let lines: Vec<String> = (0..150).map(|number| line(&format!("ORD-{number:03}"))).collect();
    let text = format!("\u{feff}{}\n", lines.join("\n"));
    let first = shop.ingest("orders.jsonl", &text, &[]);
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(first.out, "150 orders: 150 created, 0 same, 0 refused, 0 conflict\n");
    assert_eq!(first.err, "", "no bar where there is no terminal");
    let again = shop.ingest("orders.jsonl", &text, &[]);
    assert_eq!(
        (again.code, again.out.as_str()),
        (0, "150 orders: 0 created, 150 same, 0 refused, 0 conflict\n")
    );
    assert_eq!(shop.ids().len(), 100, "a list is no longer than its limit");
}

#[test]
fn bad_lines_are_told_and_the_good_ones_are_kept() {
    let shop = Shop::new();
    let bad = line("ORD-2").replace("010-1234-5678", "010-9876-54321").replace("06236", "1");
    let other = line("ORD-1").replace("\"unit_price\":100", "\"unit_price\":200");
    let text = [line("ORD-1"), bad, "{".to_owned(), other, line("ORD-3")].join("\n");
    let ran = shop.ingest("orders.jsonl", text, &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(
        ran.out,
        "line 2: ORD-2: customer.phone must be a Korean phone number, not 010-****-*4321\n\
         line 2: ORD-2: address.postcode must be five digits\n\
         line 3: is malformed JSON at column 1: EOF while parsing an object\n\
         line 4: ORD-1: another content is kept under this id\n\
         5 orders: 2 created, 0 same, 2 refused, 1 conflict\n"
    );
    assert_eq!(shop.ids(), ["ORD-1", "ORD-3"]);
}

#[test]
fn a_program_reads_one_object_a_line() {
    let shop = Shop::new();
    let bad = line("ORD-2").replace("06236", "1");
    let ran = shop.ingest(
        "a.txt",
        format!("{}\n{bad}", line("ORD-1")),
        &["--input", "jsonl", "--format", "json"],
    );
    let told: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let problem = json!({ "line": 2, "field": "address.postcode", "why": "must be five digits" });
    assert_eq!(
        told,
        [
            json!({ "line": 2, "order": "ORD-2", "fate": "refused", "problems": [problem] }),
            json!({ "created": 1, "rejected": 0, "same": 0, "refused": 1, "conflict": 0 }),
        ]
    );
}

#[test]
fn csv_has_one_row_an_item() {
    let shop = Shop::new();
    let text = "\u{feff}order_id,name,phone,postcode,line1,line2,memo,sku,item_name,quantity,\
                unit_price,parcel\r\n\
                ORD-1,홍길동,010-1234-5678,06236,서울 강남구,101호,,S-1,한라봉,1,100,1\r\n\
                ORD-1,홍길동,010-1234-5678,06236,서울 강남구,101호,,S-2,감귤,2,200,2\r\n\
                ORD-2,김철수,1588-1234,04524,서울 중구,,,S-1,한라봉,0,100,1\r\n";
    let ran = shop.ingest("orders.csv", text, &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(
        ran.out,
        "line 4: ORD-2: phone must be a Korean phone number, not ****-****\n\
         line 4: ORD-2: quantity must be 1 to 999, not 0\n\
         2 orders: 1 created, 0 same, 1 refused, 0 conflict\n"
    );
    let store = shop.path("oms.db");
    let listed = oms(&["list", "--store", arg(&store)]);
    assert!(listed.out.contains("1:planned 2:planned"), "{listed:?}");
}

#[test]
fn an_order_that_the_shop_does_not_take_is_kept_and_told() {
    let shop = Shop::new();
    let config = shop.path("oms.toml");
    std::fs::write(&config, "[shop]\nrefused_postcodes = [\"06\"]\n").unwrap();
    let ran = shop.ingest("orders.jsonl", line("ORD-1"), &["--config", arg(&config)]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.out,
        "line 1: ORD-1: kept as rejected: no shipping to its postcode\n\
         1 orders: 1 created (1 of them rejected by the shop), 0 same, 0 refused, 0 conflict\n"
    );
}

#[test]
fn a_file_that_cannot_be_used_leaves_no_database_behind() {
    let shop = Shop::new();
    let store = shop.path("oms.db");
    let missing = oms(&["ingest", "no-such-file.jsonl", "--store", arg(&store)]);
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.err.contains("no-such-file.jsonl"), "{missing:?}");
    assert_eq!(shop.ingest("orders.txt", "", &[]).code, 2);
    let header = shop.ingest("orders.csv", "order_id,naem\n", &[]);
    assert_eq!(header.code, 2);
    assert!(header.err.contains("is `name` meant?"), "{header:?}");
    assert!(!store.exists());
}
