//! Traces of a service or of a command, if they are wanted.

use std::sync::Arc;

use clockwork::Clock;

use super::{Common, Error};
use crate::config::{self, Config};
use crate::env::{ReqwestTransport, Spawner, Transport};
use crate::http::Metrics;
use crate::store::Store;
use crate::traces::{self, Exporter, Traces};

/// Traces, before there is anybody to tell of.
pub(super) struct Tracing {
    /// Who listens.
    pub(super) traces: Traces,
    exporter: Exporter,
    collector: Arc<dyn Transport>,
}

impl Tracing {
    /// Of a command to the collector that `config` names, once its flag `otlp` has had its say.
    pub(super) fn of_command(
        config: &mut Config,
        otlp: Option<&String>,
        common: &Common,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Tracing>, Error> {
        if let Some(url) = otlp {
            config::trim_url(config.service.otlp.insert(url.clone()));
        }
        config.check().map_err(config::Error::Impossible)?;
        let worker = super::own_name(&**clock);
        // A command has no metrics: what is dropped is logged.
        Tracing::to(config.service.otlp.as_deref(), common, &worker, clock, &Arc::default())
    }

    /// Of the process `worker`, to the collector at `url`; none where that is empty.
    pub(super) fn to(
        url: Option<&str>,
        common: &Common,
        worker: &str,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Tracing>, Error> {
        let Some(url) = url.filter(|url| !url.is_empty()) else { return Ok(None) };
        let connect = traces::CONNECT_TIMEOUT;
        let collector = ReqwestTransport::new(url, connect, clock.clone(), common.scale(), None)
            .map_err(|source| Error::Transport { api: "collector of traces", source })?;
        let (traces, exporter) = traces::begin(worker, metrics.clone());
        Ok(Some(Tracing { traces, exporter, collector: Arc::new(collector) }))
    }

    /// Takes spans to the collector from now on.
    pub(super) fn start(
        self,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        spawner: &dyn Spawner,
    ) -> Traces {
        let sending = self.exporter.run(store, clock, self.collector);
        spawner.spawn("traces", Box::pin(sending));
        self.traces
    }
}
