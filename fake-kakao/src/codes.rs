//! The codes of the service layer (`data.code`, `destinations[].code`) and of delivery reports.
//!
//! The gateway layer (`common.authCode`) reuses some numbers with other meanings: see
//! [`GatewayCode`]. Sources: the provider's table of error codes, as its SDKs ship it.

/// What the service layer says of a request or of one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Accepted.
    Success,
    /// The API key was revoked.
    ExpiredToken,
    /// The body is no JSON.
    UnreadableJson,
    /// The body is JSON of another shape.
    UnmappableJson,
    /// Too many messages or requests a second.
    RateLimit,
    /// The account is blocked for a while.
    BlockedAccount,
    /// The request makes no sense as a whole.
    WrongRequest,
    /// The idempotency key was used within its time to live.
    Duplicate,
    /// No sender number.
    InvalidFrom,
    /// No text.
    InvalidText,
    /// `ref` is too long.
    InvalidRef,
    /// The recipient's number is no mobile number.
    InvalidTo,
    /// No recipient.
    MissingTo,
    /// The idempotency key is empty or longer than 200 characters.
    InvalidIdempotencyKey,
    /// The key's time to live is missing, no number, or not in 0 to 86400.
    InvalidIdempotencyTtl,
    /// More than 200 destinations.
    TooManyDestinations,
    /// A channel that this account may not use.
    ChannelNotPermitted,
    /// The sender number is not registered.
    UnregisteredFrom,
    /// The text is longer than its channel carries.
    TextTooLong,
    /// The sender profile is not registered.
    InvalidSenderKey,
    /// The template is not registered or not approved.
    InvalidTemplateCode,
    /// `msgType` is missing or none of `AT`, `AI`.
    InvalidMessageType,
    /// The batch of reports was never handed out.
    InvalidReportId,
    /// Nothing is known by that key.
    NotFound,
    /// The gateway broke.
    InternalError,
    /// The gateway is busy or closed.
    Busy,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 26] = [
        Code::Success,
        Code::ExpiredToken,
        Code::UnreadableJson,
        Code::UnmappableJson,
        Code::RateLimit,
        Code::BlockedAccount,
        Code::WrongRequest,
        Code::Duplicate,
        Code::InvalidFrom,
        Code::InvalidText,
        Code::InvalidRef,
        Code::InvalidTo,
        Code::MissingTo,
        Code::InvalidIdempotencyKey,
        Code::InvalidIdempotencyTtl,
        Code::TooManyDestinations,
        Code::ChannelNotPermitted,
        Code::UnregisteredFrom,
        Code::TextTooLong,
        Code::InvalidSenderKey,
        Code::InvalidTemplateCode,
        Code::InvalidMessageType,
        Code::InvalidReportId,
        Code::NotFound,
        Code::InternalError,
        Code::Busy,
    ];

    /// The code on the wire, the HTTP status that a whole request gets with it, and its text.
    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Code::Success => ("A000", 200, "Success"),
            Code::ExpiredToken => ("A001", 401, "Expired token"),
            Code::UnreadableJson => ("A010", 400, "Cannot parse JSON"),
            Code::UnmappableJson => ("A011", 400, "Cannot mapping JSON"),
            Code::RateLimit => ("A020", 429, "Number of 'Ratelimit' exceeded"),
            Code::BlockedAccount => ("A110", 403, "Blocked account"),
            Code::WrongRequest => ("A300", 400, "Wrong request"),
            Code::Duplicate => ("A301", 400, "Duplicate idempotencyKey"),
            Code::InvalidFrom => ("A302", 400, "Invalid or empty 'from'"),
            Code::InvalidText => ("A303", 400, "Invalid or empty 'text'"),
            Code::InvalidRef => ("A305", 400, "Invalid or empty 'ref'"),
            Code::InvalidTo => ("A306", 400, "Invalid or empty 'to'"),
            Code::MissingTo => ("A307", 400, "Missing required destination field"),
            Code::InvalidIdempotencyKey => ("A308", 400, "Invalid or empty 'idempotencyKey'"),
            Code::InvalidIdempotencyTtl => ("A309", 400, "Invalid 'idempotencyTtl'"),
            Code::TooManyDestinations => ("A318", 400, "Number of 'to' exceeded"),
            Code::ChannelNotPermitted => ("A325", 400, "No permission 'Message-Send'"),
            Code::UnregisteredFrom => ("A327", 400, "Not Allowed 'from'"),
            Code::TextTooLong => ("A328", 400, "Length of 'text' exceeded"),
            Code::InvalidSenderKey => ("A502", 400, "Invalid or empty 'senderKey'"),
            Code::InvalidTemplateCode => ("A505", 400, "Invalid or empty 'templateCode'"),
            Code::InvalidMessageType => ("A523", 400, "Invalid or empty 'msgType'"),
            Code::InvalidReportId => ("A802", 403, "Invalid Report ID"),
            Code::NotFound => ("A820", 400, "Requested data not found"),
            Code::InternalError => ("A910", 500, "Internal server error"),
            Code::Busy => ("A920", 503, "Server busy"),
        }
    }

    /// As on the wire, such as `A000`.
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status of a request that is refused whole with this code.
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// The text beside the code.
    pub const fn result(self) -> &'static str {
        self.row().2
    }

    /// The code that the wire writes as `text`, if this fake knows it.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.code() == text)
    }
}

/// What the layer before the service says (`common.authCode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayCode {
    /// Let through.
    Success,
    /// No API key, or a wrong one.
    Unauthorized,
    /// No such path.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
}

impl GatewayCode {
    /// As on the wire: code, HTTP status, text.
    pub const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            GatewayCode::Success => ("A000", 200, "Success"),
            GatewayCode::Unauthorized => ("A401", 401, "Unauthorized"),
            GatewayCode::NotFound => ("A404", 404, "Not Found"),
            GatewayCode::MethodNotAllowed => ("A405", 405, "Method Not Allowed"),
        }
    }
}

/// What became of a message on one channel.
///
/// Kakao's own code stands behind a `6`; text messages have codes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportCode {
    /// It reached the recipient.
    Delivered,
    /// The recipient's number has no subscriber (text messages).
    NoSubscriber,
    /// Sent, but the recipient's app did not acknowledge: it may arrive within three days.
    Unknown,
    /// Kakao broke.
    InternalError,
    /// Kakao takes the number for none.
    BadNumber,
    /// The template is gone.
    NoTemplate,
    /// The text is not the template's.
    TemplateMismatch,
    /// The recipient cannot be sent to, such as one who has not used Kakao for long.
    CannotSend,
    /// The recipient does not use Kakao.
    NotAUser,
    /// The recipient refuses Alimtalk.
    Blocked,
}

impl ReportCode {
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            ReportCode::Delivered => ("10000", "성공"),
            ReportCode::NoSubscriber => ("23001", "가입자 없음"),
            ReportCode::Unknown => ("63005", "수신확인 안됨 (성공불확실)"),
            ReportCode::InternalError => ("63006", "내부 시스템 오류"),
            ReportCode::BadNumber => ("63008", "전화번호 오류"),
            ReportCode::NoTemplate => ("63015", "템플릿을 찾을 수 없음"),
            ReportCode::TemplateMismatch => ("63016", "템플릿과 일치하지 않음"),
            ReportCode::CannotSend => ("63018", "메시지를 전송할 수 없음"),
            ReportCode::NotAUser => ("63019", "톡 유저가 아님"),
            ReportCode::Blocked => ("63020", "알림톡 수신 차단"),
        }
    }

    /// As on the wire, such as `10000`.
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// The text beside the code.
    pub const fn text(self) -> &'static str {
        self.row().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_own_text_and_no_two_share_one() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.code()), Some(code));
        }
        assert_eq!(Code::parse("A777"), None);
    }
}
