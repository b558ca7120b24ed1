//! The rows of every engine type, numbered through: a row's number is the place where its requests are counted. Knows
//! nothing of mounts.

use std::sync::Arc;

use super::{Core, Settings};
use crate::api::route::Row;
use crate::auth::approle::AppRole;
use crate::auth::cert::Cert;
use crate::auth::jwt::Jwt;
use crate::auth::kubernetes::Kubernetes;
use crate::auth::token::TokenAuth;
use crate::auth::userpass::Userpass;
use crate::engine::{Engine, Route, Rows};
use crate::identity::IdentityEngine;
use crate::secrets::cubbyhole::Cubbyhole;
use crate::secrets::kv::{Kv1, Kv2};
use crate::secrets::transit::Transit;
use crate::sys;

/// One table of each type, which all its mounts share.
pub(super) struct Tables {
    pub(super) sys: Arc<Rows<Core>>,
    pub(super) token: Arc<Rows<TokenAuth>>,
    pub(super) cubbyhole: Arc<Rows<Cubbyhole>>,
    pub(super) identity: Arc<Rows<IdentityEngine>>,
    pub(super) transit: Arc<Rows<Transit>>,
    pub(super) kv1: Arc<Rows<Kv1>>,
    pub(super) kv2: Arc<Rows<Kv2>>,
    pub(super) approle: Arc<Rows<AppRole>>,
    pub(super) userpass: Arc<Rows<Userpass>>,
    pub(super) cert: Arc<Rows<Cert>>,
    pub(super) jwt: Arc<Rows<Jwt>>,
    pub(super) kubernetes: Arc<Rows<Kubernetes>>,
    /// All rows in the order of their numbers, each with the name of its table.
    pub(super) all: Vec<(&'static str, &'static Row)>,
}

impl Tables {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut all = Vec::new();
        let sys = if settings.metrics_open { sys::ROUTES_WITH_OPEN_METRICS } else { Core::ROUTES };
        Self {
            sys: number(&mut all, "sys", sys),
            token: number(&mut all, "token", TokenAuth::ROUTES),
            cubbyhole: number(&mut all, "cubbyhole", Cubbyhole::ROUTES),
            identity: number(&mut all, "identity", IdentityEngine::ROUTES),
            transit: number(&mut all, "transit", Transit::ROUTES),
            kv1: number(&mut all, "kv1", Kv1::ROUTES),
            kv2: number(&mut all, "kv2", Kv2::ROUTES),
            approle: number(&mut all, "approle", AppRole::ROUTES),
            userpass: number(&mut all, "userpass", Userpass::ROUTES),
            cert: number(&mut all, "cert", Cert::ROUTES),
            jwt: number(&mut all, "jwt", Jwt::ROUTES),
            kubernetes: number(&mut all, "kubernetes", Kubernetes::ROUTES),
            all,
        }
    }
}

/// Makes a table whose rows have the next numbers.
fn number<E>(
    all: &mut Vec<(&'static str, &'static Row)>,
    name: &'static str,
    routes: &'static [&'static [Route<E>]],
) -> Arc<Rows<E>> {
    let rows = Rows::new(routes).numbered_from(all.len());
    all.extend(rows.rows().into_iter().map(|row| (name, row)));
    Arc::new(rows)
}
