//! `ReqAddrRfnSm`.

use clockwork::Entropy;

use super::book::UNDELIVERABLE;
use super::{Incoming, Outcome};
use crate::columns::stored_bytes;
use crate::wire::Endpoint;
use crate::wire::reply::{AddressData, Failure};
use crate::wire::request::Data;

/// Bytes that `ADDRESS` holds.
const ADDRESS_BYTES_MAX: usize = 100;

/// How the names of the country's seventeen provinces and great cities begin.
const PROVINCES: [&str; 20] = [
    "서울", "부산", "대구", "인천", "광주", "대전", "울산", "세종", "경기", "강원", "충북", "충남",
    "충청", "전북", "전남", "전라", "경북", "경남", "경상", "제주",
];

/// The sorting code of an address, always the same for the same address.
pub(super) fn refine(call: &Incoming<'_>, data: &Data<'_>) -> Outcome<AddressData> {
    if data.text(Endpoint::Address.customer_field()) != call.config.cust_id {
        return Err(failure("-20001", "등록되지 않은 고객입니다."));
    }
    let address = data.text("ADDRESS").trim();
    let mut words = address.split_whitespace();
    let (Some(province), Some(city)) = (words.next(), words.next()) else {
        return Err(failure("-20002", "주소를 분석할 수 없습니다."));
    };
    if stored_bytes(address) > ADDRESS_BYTES_MAX {
        return Err(failure("-20002", "주소를 분석할 수 없습니다."));
    }
    if address.contains(UNDELIVERABLE) {
        return Err(failure("-20009", "배송 불가 지역입니다."));
    }
    if !PROVINCES.iter().any(|name| province.starts_with(name)) {
        return Err(failure("-20003", "권역이 존재하지 않습니다."));
    }
    // Any fixed seed will do: the code must only be the same for the same address.
    let code = Entropy::new(0).fork("sorting-code", address).seed();
    Ok(Some(AddressData {
        clsfcd: format!("{}{:03}", char::from(b'A' + (code % 26) as u8), code / 26 % 1_000),
        subclsfcd: format!("{}{}", code % 9 + 1, char::from(b'a' + (code / 9 % 26) as u8)),
        clsfaddr: words.next().unwrap_or(city).to_owned(),
        clldlvbrannm: format!("{}{}", province.chars().take(2).collect::<String>(), city),
        clldlvempnm: format!("기사{:02}", code % 40),
        clldlvempnicknm: format!("{:02}", code % 40),
        rspsdiv: "01".to_owned(),
        p2pcd: format!("{:02}", code % 100),
    }))
}

fn failure(code: &'static str, detail: &'static str) -> Failure {
    Failure { code: code.into(), ..Failure::business(detail) }
}
