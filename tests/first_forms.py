"""The two forms of a pipeline file as they were first published: both run as written."""

SHORT = """\
workflow:
  trigger: pull_request
  actions:
    - validate_model
    - deploy_to_workspace
"""
FULL = """\
pipeline:
  agents:
    validator:
      trigger: webhook.pull_request
      mcp_tools: [read_file, rag_query, write_file]
      prompt: "Validate manifest syntax and semantic correctness"
    tester:
      trigger: status.validated
      mcp_tools: [exec_shell, rag_query, write_file]
      prompt: "Run integration tests and report results"
    deployer:
      trigger: status.tests_passed
      mcp_tools: [acquire_lock, exec_shell, release_lock, write_file]
      prompt: "Deploy to target environment"
    monitor:
      trigger: cron.5min
      mcp_tools: [exec_shell, rag_query, send_webhook]
      prompt: "Check metrics, alert if anomalies detected"
"""
