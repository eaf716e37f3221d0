# SPDX-License-Identifier: Apache-2.0
dist_man_MANS += %D%/zio.1 %D%/zio-fs.1 %D%/libzio.7 %D%/zio-mount.8 %D%/zio-sockmap.8
