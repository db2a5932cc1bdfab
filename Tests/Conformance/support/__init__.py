"""What the conformance tests stand on: a scripted upstream, a running Martlet, and a client that knows every byte it sends."""
