//! The nodes' own API, over real sockets.

use async_trait::async_trait;
use oms_core::env::tls;

use super::nodes::Nodes;
use crate::offering::Front;

/// Posts to whichever address a node has at the moment.
pub(super) struct HttpFront {
    nodes: Nodes,
    client: reqwest::Client,
}

impl HttpFront {
    pub(super) fn new(nodes: Nodes) -> HttpFront {
        HttpFront { nodes, client: plain_client() }
    }
}

/// A client without proxies, redirects or TLS.
pub(super) fn plain_client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    // Both fail by settings alone, and these are always the same.
    let trust = tls::trusting_nobody().expect("no authority is a good list of authorities");
    client.tls_backend_preconfigured(trust).build().expect("a client without TLS")
}

#[async_trait]
impl Front for HttpFront {
    async fn post(&self, turn: usize, path: &str, body: String) -> Option<u16> {
        let url = format!("{}{path}", self.nodes.api(turn)?);
        let request =
            self.client.post(url).header(http::header::CONTENT_TYPE, "application/json").body(body);
        request.send().await.ok().map(|response| response.status().as_u16())
    }
}
