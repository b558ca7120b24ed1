# A configuration to begin with, in Vault's terms. `coffer server -config=FILE -test-config` says what is wrong with one.

storage "sled" {
  path = "/var/lib/coffer/data"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/coffer/cert.pem"
  tls_key_file  = "/etc/coffer/key.pem"
}

# Where clients reach this server.
api_addr = "https://coffer.example.com:8200"
