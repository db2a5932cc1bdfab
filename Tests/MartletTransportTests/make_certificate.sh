#!/bin/sh
# Makes the certificate and key of Certificate.swift anew: self-signed, for localhost and 127.0.0.1, good for a hundred years.
set -eu
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>/dev/null
{
    echo '/// Written by make_certificate.sh. It guards nothing: both halves are public.'
    echo 'enum Certificate {'
    for name in certificate key; do
        echo "    static let $name = \"\"\""
        sed 's/^/        /' "$folder/$name.pem"
        echo '        """'
        test $name = key || echo
    done
    echo '}'
} > Certificate.swift
