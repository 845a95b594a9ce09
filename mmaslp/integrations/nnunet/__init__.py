"""nnU-Net v2: ``python -m mmaslp.integrations.nnunet`` prints where trainers lie."""
