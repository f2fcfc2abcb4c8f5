# Installation: the program, the library (one archive), the public header, the data and a pkg-config file.
include(GNUInstallDirs)
