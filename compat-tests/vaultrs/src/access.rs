//! Logins, tokens, policies, wrapping, and the state of the server.

use std::time::Duration;

use vaultrs::api::ResponseWrapper;
use vaultrs::api::auth::approle::requests::SetAppRoleRequestBuilder;
use vaultrs::api::auth::userpass::requests::CreateUserRequestBuilder;
use vaultrs::api::sys::requests::{EnableEngineRequestBuilder, ListMountsRequest};
use vaultrs::api::token::requests::{CreateTokenRequestBuilder, SetTokenRoleRequestBuilder};
use vaultrs::auth::{approle, userpass};
use vaultrs::client::VaultClient;
use vaultrs::error::ClientError;
use vaultrs::sys::{self, ServerStatus, auth, mount, policy, remount};
use vaultrs::{kv1, token};

use crate::{Done, check, connect, equal, mounted, refused, unique};

pub(crate) async fn run(root: &VaultClient) -> Done {
    check("login", "a user logs in", users(root)).await;
    check("login", "a program logs in with its role ID and secret ID", programs(root)).await;
    check("token", "a token is made, looked up, renewed and revoked", life(root)).await;
    check("token", "a token ends with its time", expiry(root)).await;
    check("token", "roles make tokens", roles(root)).await;
    check("policies", "a policy is written, read, listed and deleted", policies(root)).await;
    check("policies", "a policy allows what it says and no more", allowed(root)).await;
    check("wrapping", "an answer is opened once", wrapping(root)).await;
    check("system", "health and status", state(root)).await;
    check("system", "engines are mounted, moved, listed and unmounted", engines(root)).await;
    check("system", "login methods are enabled, listed and disabled", methods(root)).await;
    check("errors", "403 of a token that is not known", stranger()).await;
    check("errors", "400 of a path in use", in_use(root)).await;
    Ok(())
}

async fn users(root: &VaultClient) -> Done {
    let people = unique();
    auth::enable(root, &people, "userpass", None).await?;
    let mut options = CreateUserRequestBuilder::default();
    userpass::user::set(root, &people, "ada", "pw", Some(options.token_policies(vec!["default".to_owned()]))).await?;
    let login = userpass::login(root, &people, "ada", "pw").await?;
    equal(login.policies, vec!["default"])?;
    equal(token::lookup_self(&connect(&login.client_token)).await?.display_name, format!("{people}-ada"))?;
    userpass::user::update_password(root, &people, "ada", "other").await?;
    equal(userpass::user::list(root, &people).await?.keys, vec!["ada"])?;
    refused(userpass::login(root, &people, "ada", "pw").await, 400, "invalid username or password")
}

async fn programs(root: &VaultClient) -> Done {
    let mount = unique();
    auth::enable(root, &mount, "approle", None).await?;
    let mut options = SetAppRoleRequestBuilder::default();
    let options = options.token_policies(vec!["default".to_owned()]).token_ttl("5m");
    approle::role::set(root, &mount, "app", Some(options)).await?;
    equal(approle::role::list(root, &mount).await?.keys, vec!["app"])?;
    equal(approle::role::read(root, &mount, "app").await?.token_ttl, 300)?;
    let role_id = approle::role::read_id(root, &mount, "app").await?.role_id;
    let made = approle::role::secret::generate(root, &mount, "app", None).await?;
    let login = approle::login(root, &mount, &role_id, &made.secret_id).await?;
    equal(login.lease_duration, 300)?;
    let found = approle::role::secret::read(root, &mount, "app", &made.secret_id).await?;
    equal(&found.secret_id_accessor, &made.secret_id_accessor)?;
    equal(approle::role::secret::list(root, &mount, "app").await?.keys, vec![made.secret_id_accessor])?;
    approle::role::secret::delete(root, &mount, "app", &made.secret_id).await?;
    let again = approle::login(root, &mount, &role_id, &made.secret_id).await;
    refused(again, 400, "invalid role or secret ID")
}

async fn life(root: &VaultClient) -> Done {
    let mut options = CreateTokenRequestBuilder::default();
    let options = options.policies(vec!["default".to_owned()]).ttl("1h").display_name("child");
    let made = token::new(root, Some(options)).await?;
    let child = connect(&made.client_token);
    let found = token::lookup_self(&child).await?;
    equal((found.display_name.as_str(), found.creation_ttl, found.orphan), ("token-child", 3600, false))?;
    equal(token::lookup(root, &made.client_token).await?.accessor, made.accessor.clone())?;
    equal(token::lookup_accessor(root, &made.accessor).await?.ttl > 3500, true)?;
    equal(token::renew_self(&child, Some("30m")).await?.lease_duration, 1800)?;
    equal(token::renew(root, &made.client_token, Some("2h")).await?.lease_duration, 7200)?;
    token::revoke_accessor(root, &made.accessor).await?;
    refused(token::lookup_self(&child).await, 403, "permission denied")?;
    let orphan = token::new_orphan(root, None).await?;
    equal(token::lookup(root, &orphan.client_token).await?.orphan, true)?;
    token::revoke(root, &orphan.client_token).await?;
    Ok(())
}

async fn expiry(root: &VaultClient) -> Done {
    let mut options = CreateTokenRequestBuilder::default();
    let made = token::new(root, Some(options.policies(vec!["default".to_owned()]).ttl("1s"))).await?;
    let child = connect(&made.client_token);
    loop {
        match token::lookup_self(&child).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            ended => return refused(ended, 403, "permission denied"),
        }
    }
}

async fn roles(root: &VaultClient) -> Done {
    let role = unique();
    let mut options = SetTokenRoleRequestBuilder::default();
    let options = options.allowed_policies(vec!["default".to_owned()]).orphan(true);
    token::role::set(root, &role, Some(options)).await?;
    equal(token::role::list(root).await?.keys.contains(&role), true)?;
    equal(token::role::read(root, &role).await?.orphan, true)?;
    equal(token::new_role(root, &role, None).await?.orphan, true)?;
    token::role::delete(root, &role).await?;
    refused(token::role::read(root, &role).await, 404, "")
}

async fn policies(root: &VaultClient) -> Done {
    let (name, text) = (unique(), "path \"secret/*\" { capabilities = [\"read\"] }");
    policy::set(root, &name, text).await?;
    equal(policy::read(root, &name).await?.rules, text)?;
    equal(policy::list(root).await?.policies.contains(&name), true)?;
    policy::delete(root, &name).await?;
    refused(policy::read(root, &name).await, 404, "")
}

async fn allowed(root: &VaultClient) -> Done {
    let (name, mount) = (unique(), mounted(root, "kv").await?);
    policy::set(root, &name, &format!("path \"{mount}/*\" {{ capabilities = [\"create\"] }}")).await?;
    let mut options = CreateTokenRequestBuilder::default();
    let made = token::new(root, Some(options.policies(vec![name]).no_default_policy(true))).await?;
    let child = connect(&made.client_token);
    let secret = std::collections::HashMap::from([("a", "1")]);
    kv1::set(&child, &mount, "a", &secret).await?;
    refused(kv1::set(&child, &mount, "a", &secret).await, 403, "permission denied")
}

async fn wrapping(root: &VaultClient) -> Done {
    let wrapped = ListMountsRequest::builder().build()?.wrap(root).await?;
    equal(wrapped.lookup(root).await?.creation_path, "sys/mounts")?;
    equal(wrapped.unwrap(root).await?.contains_key("secret/"), true)?;
    refused(wrapped.unwrap(root).await, 400, "wrapping token is not valid or does not exist")?;
    equal(matches!(wrapped.lookup(root).await, Err(ClientError::WrapInvalidError)), true)
}

async fn state(root: &VaultClient) -> Done {
    let health = sys::health(root).await?;
    equal((health.initialized, health.sealed, health.standby), (true, false, false))?;
    equal(matches!(sys::status(root).await?, ServerStatus::OK), true)
}

async fn engines(root: &VaultClient) -> Done {
    let (path, moved) = (unique(), unique());
    let mut options = EnableEngineRequestBuilder::default();
    mount::enable(root, &path, "kv", Some(options.description("of a test"))).await?;
    equal(mount::list(root).await?[&format!("{path}/")].description.as_str(), "of a test")?;
    let id = remount::remount(root, &path, &moved).await?.migration_id;
    remount::remount_status(root, &id).await?;
    mount::disable(root, &moved).await?;
    equal(mount::list(root).await?.contains_key(&format!("{moved}/")), false)
}

async fn methods(root: &VaultClient) -> Done {
    let path = unique();
    auth::enable(root, &path, "userpass", None).await?;
    equal(auth::list(root).await?.contains_key(&format!("{path}/")), true)?;
    auth::disable(root, &path).await?;
    equal(auth::list(root).await?.contains_key(&format!("{path}/")), false)
}

async fn stranger() -> Done {
    refused(token::lookup_self(&connect("hvs.none")).await, 403, "permission denied")
}

async fn in_use(root: &VaultClient) -> Done {
    refused(mount::enable(root, "secret", "kv", None).await, 400, "path is already in use")
}
