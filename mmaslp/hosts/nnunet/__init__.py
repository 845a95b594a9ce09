"""nnU-Net v2: ``python -m mmaslp.hosts.nnunet`` prints the folder of the trainers."""
