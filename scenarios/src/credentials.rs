//! What the service must know of the fakes that it talks to.

use oms_core::config::Config;
use serde_json::Value;

/// Writes the fakes' credentials into the service's settings.
pub fn enter(
    config: &mut Config,
    carrier: &fake_cj::Credentials,
    gateway: &fake_kakao::Credentials,
) {
    config.carrier.cust_id.clone_from(&carrier.cust_id);
    config.carrier.biz_reg_num.clone_from(&carrier.biz_reg_num);
    config.messenger.api_key = gateway.api_key.reveal().to_owned();
    config.messenger.sender_key.clone_from(&gateway.sender_key);
    if !config.messenger.sms_from.is_empty() {
        config.messenger.sms_from.clone_from(&gateway.sms_from);
    }
}

/// As [`enter`], from what the fakes' binaries say in their first line.
pub fn enter_json(config: &mut Config, carrier: &Value, gateway: &Value) {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    config.carrier.cust_id = text(carrier, "cust_id");
    config.carrier.biz_reg_num = text(carrier, "biz_reg_num");
    config.messenger.api_key = text(gateway, "api_key");
    config.messenger.sender_key = text(gateway, "sender_key");
    if !config.messenger.sms_from.is_empty() {
        config.messenger.sms_from = text(gateway, "sms_from");
    }
}
