"""The network: UNet, backends, compiled steps, the taught weights."""
