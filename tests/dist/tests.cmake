# A run that loses a rank, started from outside.
add_executable(lost_peer ${CMAKE_CURRENT_LIST_DIR}/lost_peer.cc)
target_link_libraries(lost_peer PRIVATE gradmill::dist)
set(lost_peer_test ${CMAKE_CURRENT_LIST_DIR}/lost_peer.sh ${MPIEXEC_EXECUTABLE} $<TARGET_FILE:lost_peer>)
add_test(NAME dist_mpi.lost_peer COMMAND ${lost_peer_test} cpu)
set_tests_properties(dist_mpi.lost_peer PROPERTIES LABELS mpi TIMEOUT 300)
if(GRADMILL_CUDA)
  add_test(NAME dist_mpi.CudaLostPeer COMMAND ${lost_peer_test} cuda)
  set_tests_properties(dist_mpi.CudaLostPeer PROPERTIES LABELS "gpu;mpi" TIMEOUT 300
    SKIP_RETURN_CODE 77 ENVIRONMENT CUDASIM_NCCL_TIMEOUT=2)
endif()

add_executable(watched_rank ${CMAKE_CURRENT_LIST_DIR}/watched_rank.cc)
target_link_libraries(watched_rank PRIVATE gradmill::dist)
add_test(NAME dist_mpi.watched_rank
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/watched_rank.sh ${MPIEXEC_EXECUTABLE} $<TARGET_FILE:watched_rank>)
set_tests_properties(dist_mpi.watched_rank PROPERTIES LABELS mpi TIMEOUT 900)
