"""What all recipes share and no model knows: processes, precision, resuming, and seeing a run.

A recipe calls, in this order: `open_team`, `prepare_folder`, `Stepper`, `make_optimiser`, `read_run` and
`restore_run` if it goes on, `Watch`; then for every batch `Stepper.gradients`, `require_finite`,
`Stepper.update`, `Watch.step`, and now and then `Watch.validation` and `save_run`; at the end `Watch.finish`.
"""
