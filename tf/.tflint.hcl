# Every rule that tflint ships. Run by tests/tf/test_lint.py.
plugin "terraform" {
  enabled = true
  preset  = "all"
}
