//! oms-core
