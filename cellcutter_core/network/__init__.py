"""The network: UNet, backends, compiled steps, taught weights."""
