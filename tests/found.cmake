# A test program in which no test is found passes without having tested anything: each of PROGRAMS must list one.
cmake_minimum_required(VERSION 3.20)
foreach(program ${PROGRAMS})
  execute_process(COMMAND ${program} --list OUTPUT_VARIABLE listed ERROR_VARIABLE listed)
  if(NOT listed MATCHES "[1-9][0-9]* test")
    message(SEND_ERROR "${program} holds no test")
  endif()
endforeach()
