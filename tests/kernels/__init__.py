"""Other kernels to run the recorder on: booted in an emulator, on this machine's own files."""
