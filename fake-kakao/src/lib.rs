//! fake-kakao
