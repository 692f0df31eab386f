"""What is said to the kernel: namespaces, netlink, nftables, sysctls."""
