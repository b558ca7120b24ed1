# cosign signs files with a transit key that it never sees.
install github.com/sigstore/cosign/v2 2.6.5 /cmd/cosign
printf 'client cosign 2.6.5\n'

call POST sys/mounts/transit '{"type": "transit"}'
printf 'release 1.0\n' >"$folder/file" && printf 'release 1.1\n' >"$folder/other"

# signs KEY, verifies KEY FILE: without the public log, which is elsewhere.
signs() { cosign sign-blob --key "hashivault://$1" --tlog-upload=false --yes --output-signature "$folder/$1.sig" "$folder/file"; }
verifies() { cosign verify-blob --key "$1" --insecure-ignore-tlog=true --signature "$2" "$3"; }

cosign_key() {
    (cd "$folder" && cosign generate-key-pair --kms hashivault://releases) && grep -q 'BEGIN PUBLIC KEY' "$folder/cosign.pub" &&
        call GET transit/keys/releases | grep '"type":"ecdsa-p256"' >/dev/null
}
cosign_public() { cosign public-key --key hashivault://releases | diff - "$folder/cosign.pub"; }
cosign_sign() { signs releases && verifies hashivault://releases "$folder/releases.sig" "$folder/file"; }
# Who has only the public half verifies too, and the server is not asked.
cosign_offline() { VAULT_ADDR=http://127.0.0.1:1 verifies "$folder/cosign.pub" "$folder/releases.sig" "$folder/file"; }
cosign_other() { ! verifies hashivault://releases "$folder/releases.sig" "$folder/other" 2>"$folder/said" && grep -q 'failed vault verification' "$folder/said"; }
cosign_rotate() {
    call POST transit/keys/releases/rotate >/dev/null && cp "$folder/releases.sig" "$folder/old.sig" && signs releases &&
        VAULT_KEY_PREFIX=vault:v2: verifies hashivault://releases "$folder/releases.sig" "$folder/file" &&
        ! verifies "$folder/cosign.pub" "$folder/releases.sig" "$folder/file"
}
# cosign asks the server to verify RSA signatures with another padding than it has them made with.
cosign_rsa() {
    call POST transit/keys/large '{"type": "rsa-2048"}' >/dev/null && signs large &&
        cosign public-key --key hashivault://large >"$folder/large.pub" && verifies "$folder/large.pub" "$folder/large.sig" "$folder/file"
}
cosign_elsewhere() {
    call POST sys/mounts/signing '{"type": "transit"}' && call POST signing/keys/k '{"type": "ecdsa-p384"}' >/dev/null &&
        TRANSIT_SECRET_ENGINE_PATH=signing signs k && TRANSIT_SECRET_ENGINE_PATH=signing verifies hashivault://k "$folder/k.sig" "$folder/file"
}
cosign_refused() {
    local said
    ! said=$(VAULT_TOKEN=hvs.none signs releases 2>&1) && [[ $said = *"permission denied"* ]]
}
cosign_tls() {
    VAULT_ADDR=$COMPAT_TLS_ADDR call POST sys/mounts/transit '{"type": "transit"}'
    VAULT_ADDR=$COMPAT_TLS_ADDR call POST transit/keys/tls '{"type": "ecdsa-p256"}' >/dev/null
    export VAULT_ADDR=$COMPAT_TLS_ADDR
    VAULT_CACERT=$COMPAT_TLS_CACERT signs tls && ! signs tls
}

check transit "a key pair is made" cosign_key
check transit "its public half is read" cosign_public
check transit "a file is signed and verified" cosign_sign
check transit "the file is verified without the server" cosign_offline
check transit "another file is not" cosign_other
check transit "the key is rotated, and what it signs is verified" cosign_rotate
check transit "an RSA key signs" cosign_rsa
check transit "a key of another mount signs" cosign_elsewhere
check errors "403 is told" cosign_refused
check tls "a file is signed over TLS, and only where the authority is trusted" cosign_tls
