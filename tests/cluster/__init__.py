"""The machine for tests on a real Kubernetes: components from pinned Go modules, nodes as containers with systemd."""
