module rookery.example/tests/cluster/components/pause

go 1.24.0
