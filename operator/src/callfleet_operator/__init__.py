"""The operator: reconciles CallCluster and TurnPool, decides, drains and reports."""
