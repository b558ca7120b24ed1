//! Secrets with and without versions, and those of a token alone.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vaultrs::api::kv2::requests::{SetSecretMetadataRequestBuilder, SetSecretRequestOptions};
use vaultrs::client::VaultClient;
use vaultrs::error::ClientError;
use vaultrs::{cubbyhole, kv1, kv2};

use crate::{Done, check, equal, mounted, refused};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Login {
    user: String,
    port: u16,
}

pub(crate) async fn run(root: &VaultClient) -> Done {
    let plain = mounted(root, "kv").await?;
    let kv = mounted(root, "kv-v2").await?;
    check("kv1", "a secret is written, read, listed and deleted", without_versions(root, &plain)).await;
    check("kv1", "a token has a place of its own", own_place(root)).await;
    check("kv2", "versions are written and read", versions(root, &kv)).await;
    check("kv2", "check-and-set keeps others' writes", check_and_set(root, &kv)).await;
    check("kv2", "versions are deleted, undeleted and destroyed", ends(root, &kv)).await;
    check("kv2", "metadata is written, read, listed and deleted", metadata(root, &kv)).await;
    check("kv2", "the mount has settings", settings(root, &kv)).await;
    check("errors", "404 of a secret", not_found(root, &kv)).await;
    Ok(())
}

async fn without_versions(root: &VaultClient, mount: &str) -> Done {
    let secret = HashMap::from([("user", "shop"), ("password", "pw")]);
    kv1::set(root, mount, "app/db", &secret).await?;
    let read: HashMap<String, String> = kv1::get(root, mount, "app/db").await?;
    equal(read["password"].as_str(), "pw")?;
    equal(kv1::get_raw(root, mount, "app/db").await?.lease_duration, 2_764_800)?;
    equal(kv1::list(root, mount, "app").await?.data.keys, vec!["db"])?;
    kv1::delete(root, mount, "app/db").await?;
    refused(kv1::get::<Value>(root, mount, "app/db").await, 404, "")
}

async fn own_place(root: &VaultClient) -> Done {
    cubbyhole::set(root, "cubbyhole", "mine", &HashMap::from([("a", "1")])).await?;
    equal(cubbyhole::get::<Value>(root, "cubbyhole", "mine").await?, json!({"a": "1"}))?;
    cubbyhole::delete(root, "cubbyhole", "mine").await?;
    Ok(())
}

async fn versions(root: &VaultClient, mount: &str) -> Done {
    let login = |port| Login { user: "shop".into(), port };
    equal(kv2::set(root, mount, "app", &login(1)).await?.version, 1)?;
    equal(kv2::set(root, mount, "app", &login(2)).await?.version, 2)?;
    equal(kv2::read::<Login>(root, mount, "app").await?, login(2))?;
    equal(kv2::read_version::<Login>(root, mount, "app", 1).await?, login(1))
}

async fn check_and_set(root: &VaultClient, mount: &str) -> Done {
    let options = SetSecretRequestOptions { cas: 0 };
    kv2::set_with_options(root, mount, "cas", &json!({"a": 1}), options).await?;
    let options = SetSecretRequestOptions { cas: 0 };
    let again = kv2::set_with_options(root, mount, "cas", &json!({"a": 2}), options).await;
    refused(again, 400, "check-and-set parameter did not match the current version")
}

async fn ends(root: &VaultClient, mount: &str) -> Done {
    for n in 0..2 {
        kv2::set(root, mount, "gone", &json!({"n": n})).await?;
    }
    kv2::delete_latest(root, mount, "gone").await?;
    // The answer tells of the version, which this client does not read.
    let deleted = kv2::read::<Value>(root, mount, "gone").await;
    equal(matches!(deleted, Err(ClientError::RestClientError { .. })), true)?;
    kv2::undelete_versions(root, mount, "gone", vec![2]).await?;
    equal(kv2::read::<Value>(root, mount, "gone").await?, json!({"n": 1}))?;
    kv2::delete_versions(root, mount, "gone", vec![1]).await?;
    kv2::destroy_versions(root, mount, "gone", vec![1]).await?;
    equal(kv2::read_metadata(root, mount, "gone").await?.versions["1"].destroyed, true)
}

async fn metadata(root: &VaultClient, mount: &str) -> Done {
    kv2::set(root, mount, "folder/one", &json!({"a": 1})).await?;
    let custom = HashMap::from([("owner".to_owned(), "team".to_owned())]);
    let mut wanted = SetSecretMetadataRequestBuilder::default();
    wanted.max_versions(3_u64).delete_version_after("2h").custom_metadata(custom.clone());
    kv2::set_metadata(root, mount, "folder/one", Some(&mut wanted)).await?;
    let read = kv2::read_metadata(root, mount, "folder/one").await?;
    equal((read.max_versions, read.delete_version_after), (3, "2h0m0s".to_owned()))?;
    equal(read.custom_metadata, Some(custom))?;
    equal(kv2::list(root, mount, "folder").await?, vec!["one"])?;
    kv2::delete_metadata(root, mount, "folder/one").await?;
    refused(kv2::list(root, mount, "folder").await, 404, "")
}

async fn settings(root: &VaultClient, mount: &str) -> Done {
    let mut wanted = vaultrs::api::kv2::requests::SetConfigurationRequestBuilder::default();
    wanted.max_versions(5_u64).delete_version_after("3h");
    kv2::config::set(root, mount, Some(&mut wanted)).await?;
    let read = kv2::config::read(root, mount).await?;
    equal((read.max_versions, read.delete_version_after), (5, "3h0m0s".to_owned()))
}

async fn not_found(root: &VaultClient, mount: &str) -> Done {
    refused(kv2::read::<Value>(root, mount, "none").await, 404, "")?;
    refused(kv2::set(root, "nowhere", "a", &json!({})).await, 404, "no handler for route")
}
