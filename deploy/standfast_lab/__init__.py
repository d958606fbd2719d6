# SPDX-License-Identifier: BSD-3-Clause
"""The laboratory: a pair of nodes with everything around them on one host.

For deploy/lab, deploy/demo and the end-to-end tests. pair.Lab is the way in; standard library only.
"""
