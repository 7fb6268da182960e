"""Networks and servers as in the field: NAT, Sentinels, certificates, silent addresses, rights."""
