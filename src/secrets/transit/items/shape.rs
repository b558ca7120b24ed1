//! Which members the items of an endpoint have, and how strictly they are read. Does not read them.

/// How the items of an endpoint look.
pub(in super::super) struct Shape {
    pub(super) members: &'static [(&'static str, Member)],
    /// What is said of an item without a text.
    pub(super) missing: &'static str,
    pub(super) rules: Rules,
}

#[derive(Clone, Copy)]
pub(super) enum Member {
    Text,
    /// As `Text`, and must not be `null`.
    Plaintext,
    Context,
    AssociatedData,
    KeyVersion,
    Reference,
    Signature,
    Hmac,
    Cmac,
    MacLength,
    SignatureContext,
    EncryptPadding,
    DecryptPadding,
}

/// The ways in which Vault reads items.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// Types are exact, and a missing text fails the whole batch.
    Strict,
    /// Numbers are texts too, and a missing text fails its item.
    Generic,
    /// As `Generic`, and every member is a text: another `null` than that of the text proper is an empty one.
    Texts,
}

impl Shape {
    pub(in super::super) const ENCRYPT: Self = Self {
        members: &[
            ("plaintext", Member::Plaintext),
            ("context", Member::Context),
            ("associated_data", Member::AssociatedData),
            ("key_version", Member::KeyVersion),
            ("padding_scheme", Member::EncryptPadding),
            ("reference", Member::Reference),
        ],
        missing: "plaintext' missing plaintext to encrypt",
        rules: Rules::Strict,
    };

    pub(in super::super) const DECRYPT: Self = Self {
        members: &[
            ("ciphertext", Member::Text),
            ("context", Member::Context),
            ("associated_data", Member::AssociatedData),
            ("padding_scheme", Member::DecryptPadding),
            ("reference", Member::Reference),
        ],
        missing: "ciphertext' missing ciphertext to decrypt",
        rules: Rules::Strict,
    };

    pub(in super::super) const REWRAP: Self = Self {
        members: &[
            ("ciphertext", Member::Text),
            ("context", Member::Context),
            ("key_version", Member::KeyVersion),
            ("decrypt_padding_scheme", Member::DecryptPadding),
            ("encrypt_padding_scheme", Member::EncryptPadding),
            ("reference", Member::Reference),
        ],
        missing: "",
        rules: Rules::Generic,
    };

    pub(in super::super) const SIGN: Self = Self {
        members: &[
            ("input", Member::Text),
            ("context", Member::Context),
            ("signature_context", Member::SignatureContext),
            ("reference", Member::Reference),
        ],
        missing: "",
        rules: Rules::Texts,
    };

    pub(in super::super) const VERIFY: Self = Self {
        members: &[
            ("input", Member::Text),
            ("signature", Member::Signature),
            ("hmac", Member::Hmac),
            ("cmac", Member::Cmac),
            ("mac_length", Member::MacLength),
            ("context", Member::Context),
            ("signature_context", Member::SignatureContext),
            ("reference", Member::Reference),
        ],
        missing: "",
        rules: Rules::Texts,
    };

    pub(in super::super) const MAC: Self = Self {
        members: &[("input", Member::Text), ("mac_length", Member::MacLength), ("reference", Member::Reference)],
        missing: "",
        rules: Rules::Texts,
    };
}
