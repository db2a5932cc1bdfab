/// Written by make_certificate.sh. It guards nothing: both halves are public.
enum Certificate {
    static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBmzCCAUGgAwIBAgIUV71B1o1brD97VFpsMpy1XUypX8YwCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTAzNTQzMFoYDzIxMjYxMDI4
        MDM1NDMwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAAQF1i2nk+Posbxc2YJzdAHBVxCwExhQM06lckMDLL0rUptXsCfwiqAQ
        9pSiFCcZRQvtNr+5chap6AwB3W+qOFmro28wbTAdBgNVHQ4EFgQUYBH92ChIyNxc
        +EfIVFu9Ibq9qP4wHwYDVR0jBBgwFoAUYBH92ChIyNxc+EfIVFu9Ibq9qP4wDwYD
        VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
        zj0EAwIDSAAwRQIhANHIe0a//JhtsXCsKphen23/cvt4aEHH3OfessHuQet0AiAT
        aX3gKX55nWITRzgKcokQMhRCNfFC7OgwUjGPmEjQgw==
        -----END CERTIFICATE-----
        """

    static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDOt4K3i6k1aNhno/
        ISDTB72eHRgMYcn4Lxfo3mBjfPqhRANCAAQF1i2nk+Posbxc2YJzdAHBVxCwExhQ
        M06lckMDLL0rUptXsCfwiqAQ9pSiFCcZRQvtNr+5chap6AwB3W+qOFmr
        -----END PRIVATE KEY-----
        """
}
