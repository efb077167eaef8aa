//! The nodes' own API, over real sockets.

use async_trait::async_trait;

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

/// A client without proxies or redirects.
pub(super) fn plain_client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        // Without TLS there is nothing in it that can fail.
        .unwrap_or_default()
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
