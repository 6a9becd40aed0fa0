"""What all recipes share and no model knows: processes, precision, resuming, and seeing a run.

A recipe calls, in this order: `open_team`, `prepare_folder`, `validation_batches`, `Stepper`,
`make_optimiser`, `read_run` and `restore_run` if it goes on, `Keeper`; then for every batch `set_rate`,
`Stepper.gradients`, `require_finite`, `Stepper.update` and `Keeper.after`, which averages, logs, validates
and saves; at the end `Keeper.finish`.
"""
